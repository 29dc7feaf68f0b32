import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { AttentionContext } from "webgpu-attention";
import { type AttentionHook, captureActivations, type ShiftOperation } from "webgpu-attention/hooks";
import { difference } from "../../../test/support/compare.js";
import { testContext } from "../../../test/support/gpu.js";
import { LanguageModel } from "../language-model.js";

const FOLDER = new URL("../../../test/fixtures/architectures/llama/", import.meta.url);
const ids = [1, 17, 30, 5, 41, 8, 2, 9, 33];
const HIDDEN = { dims: [4, 17], tau: 1.4 };

let ctx: AttentionContext;
let model: LanguageModel;
beforeAll(async () => {
  ctx = await testContext();
  model = await LanguageModel.load(ctx, FOLDER);
});
afterAll(() => model.destroy());

/** Halves the weight of sinks in the first layer. */
function shift(sinks: ShiftOperation["sinks"]): AttentionHook {
  const operation: ShiftOperation = { kind: "shift", sinks, keep: 0.5, recipients: "nonsinks", protect: [] };
  const heads = new Map([0, 1, 2].map((head) => [head, operation]));
  return { prepare: ({ layer }) => (layer === 0 ? { heads } : undefined) };
}

describe("shifts in a model", () => {
  test("find sinks in the hidden states that go into the layer", async () => {
    const capture = captureActivations(ctx, { names: ["residualIn"], layers: [0] });
    const plain = await model.logits(ids, { hooks: [capture] });
    const states = await ctx.read(capture.get(0, "residualIn")!);
    const width = states.length / ids.length;
    const sinks = ids.flatMap((_, key) => {
      const row = states.subarray(key * width, (key + 1) * width);
      const root = Math.sqrt(row.reduce((sum, x) => sum + x * x, 0) / width);
      return HIDDEN.dims.some((dim) => Math.abs(row[dim]!) > HIDDEN.tau * root) ? [key] : [];
    });
    expect(sinks.length).toBeGreaterThan(0);
    expect(sinks.length).toBeLessThan(ids.length);
    const found = await model.logits(ids, { hooks: [shift({ hidden: HIDDEN })] });
    const named = await model.logits(ids, { hooks: [shift({ keys: sinks })] });
    expect(difference(found, named).maxRelative).toBeLessThan(1e-5);
    expect(difference(found, plain).maxRelative).toBeGreaterThan(1e-4);
    capture.destroy();
  });

  test("that look at the whole text are refused where a pass sees a part of it", async () => {
    const state = await model.createState({ capacity: 64 });
    for (const sinks of [{ hidden: HIDDEN }, { received: "abs", theta: 0.2 }] as const) {
      await model.logits(ids, { hooks: [shift(sinks)] });
      const reading = model.prefill(state, ids, { hooks: [shift(sinks)] });
      await expect(reading).rejects.toMatchObject({ code: "unsupported" });
    }
    expect(state.lengths).toEqual([0]);
    await model.prefill(state, ids, { hooks: [shift({ keys: [1] })] });
    state.destroy();
  });
});
