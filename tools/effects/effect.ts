import type { AttentionContext } from "webgpu-attention";

/** What a command gives an effect to work with. */
export interface EffectInput {
  readonly ctx: AttentionContext;
  /** Each decides what is sampled: passages, needles, noise, heads drawn at random. The models are the same for all. */
  readonly seeds: readonly number[];
  /** Sizes that only show that it runs. */
  readonly quick: boolean;
  /** The folder of a model by its name. */
  readonly model: (name: string) => URL;
  /** Progress, to a person. */
  readonly log: (line: string) => void;
}

/** Numbers as they stand on the page. */
export interface Table {
  /** What the numbers are, in a sentence. */
  readonly caption: string;
  readonly header: readonly string[];
  readonly rows: readonly (readonly string[])[];
}

export interface EffectReport {
  /** Sample sizes and settings, in sentences. */
  readonly conditions: string;
  readonly tables: readonly Table[];
}

export type Effect = (input: EffectInput) => Promise<EffectReport>;
