import type { SamplingOptions } from "webgpu-attention/layers";
import type { ModelPlace } from "../common/catalogue.js";
import type { OpenTask, Progress } from "../common/worker-messages.js";
import type { HookChoice } from "./hook-kinds.js";

/** What the page asks of the worker that has the language model. */
export interface WriteTasks {
  readonly open: OpenTask;
  /** Loads a model, unless it is the one that is loaded. Progress is in bytes. */
  readonly load: { readonly asks: ModelPlace; readonly reports: Progress; readonly gives: undefined };
  readonly write: {
    readonly asks: {
      readonly prompt: string;
      readonly maxTokens: number;
      readonly sampling: SamplingOptions;
      readonly hooks: readonly HookChoice[];
    };
    readonly reports: WriteReport;
    readonly gives: { readonly finished: "stop" | "length" };
  };
  /** Distributions at all places of a text, kept in the worker. Progress is in tokens. */
  readonly look: {
    readonly asks: { readonly text: Text; readonly hooks: readonly HookChoice[] };
    readonly reports: Progress;
    readonly gives: Looked;
  };
  /** What the newest look found at a place. */
  readonly expect: {
    readonly asks: { readonly place: number; readonly top: number };
    readonly reports: never;
    readonly gives: Expected;
  };
}

/** A prompt with what was written behind it. */
export interface Text {
  readonly prompt: string;
  readonly written: readonly number[];
}

export type WriteReport =
  /** Tokens of the prompt that have been read. */
  | ({ readonly kind: "prompt" } & Progress)
  | { readonly kind: "token"; readonly id: number; readonly text: string };

export interface Looked {
  /** Text of each token, special ones by name. */
  readonly tokens: readonly string[];
  /** How many of them are the prompt's. */
  readonly promptTokens: number;
  /** How far hooks move the distribution at each place, in bits; place n is behind n tokens, from 1 on. Absent without hooks. */
  readonly shifts?: Float32Array;
}

export interface Expected {
  readonly candidates: readonly {
    readonly text: string;
    readonly plain: number;
    readonly hooked?: number;
    /** Whether it is what comes in the text. */
    readonly isNext: boolean;
  }[];
  /** In bits; absent without hooks. */
  readonly shift?: number;
}
