import { afterAll, beforeAll } from "vitest";
import type { ShiftOperation } from "../../src/hooks/index.js";
import type { AttentionContext } from "../../src/index.js";
import { LanguageModel } from "../../src/transformer/language-model.js";
import { testContext } from "./gpu.js";

const FOLDER = new URL("../fixtures/architectures/llama/", import.meta.url);

/** A text, and what it goes on with. */
export const ids = [1, 17, 30, 5, 41, 8, 2, 9, 33];
export const next = [12, 3, 40];
export const HEADS = [0, 1, 2];
/** Some of the text's tokens are sinks by it, and not all. */
export const HIDDEN = { dims: [4, 17], tau: 1.4 };

/** Takes half of the weight of sinks, whichever they are. */
export function halved(sinks: ShiftOperation["sinks"]): ShiftOperation {
  return { kind: "shift", sinks, keep: 0.5, recipients: "nonsinks", protect: [] };
}

/** The llama fixture, loaded before the tests of a file and destroyed behind them. */
export function useLlama(): { readonly ctx: AttentionContext; readonly model: LanguageModel } {
  let [ctx, model]: [AttentionContext?, LanguageModel?] = [];
  beforeAll(async () => {
    ctx = await testContext();
    model = await LanguageModel.load(ctx, FOLDER);
  });
  afterAll(() => model?.destroy());
  return {
    get ctx() {
      return ctx!;
    },
    get model() {
      return model!;
    },
  };
}
