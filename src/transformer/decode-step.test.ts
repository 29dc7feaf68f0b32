import { describe, expect, test } from "vitest";
import { AttentionContext } from "webgpu-attention";
import { planningDevice } from "../../test/support/planning-device.js";
import { LanguageModel } from "./language-model.js";

// What a decode step takes, on a device that computes nothing: plans are those of a GPU.

const SHIPPED = new URL("../../demo/public/models/", import.meta.url);
const FIXTURES = new URL("../../test/fixtures/", import.meta.url);

async function planned(folder: URL, dtype: "f32" | "f16" | "q4" = "f32") {
  const { device, calls } = planningDevice();
  const ctx = await AttentionContext.create(device);
  return { model: await LanguageModel.load(ctx, folder, { dtype }), calls };
}

async function described(folder: URL, dtype: "f32" | "f16" | "q4", cache: "f32" | "f16" = "f32") {
  const { model } = await planned(folder, dtype);
  const state = await model.createState({ capacity: 128, dtype: cache });
  const pass = await model.describePass(state);
  await expect(model.describePass(state, 0)).rejects.toMatchObject({ code: "shape" });
  state.destroy();
  model.destroy();
  return pass;
}

const softmax = new URL("lm-softmax/", SHIPPED);

describe("a decode step", () => {
  test.each([
    ["lm-softmax", softmax, 6],
    ["lm-lightning", new URL("native/lm-lightning/", FIXTURES), 6],
    ["lm-flow", new URL("native/lm-flow/", FIXTURES), 5],
    ["llama", new URL("architectures/llama/", FIXTURES), 6],
    ["qwen3", new URL("architectures/qwen3/", FIXTURES), 6],
    ["gpt2", new URL("architectures/gpt2/", FIXTURES), 6],
    // q, k and v, the router's norm, three products and gates, attention (2), active heads, the sum with the stream, MLP (2).
    ["lm-moh-75", new URL("lm-moh-75/", SHIPPED), 12],
  ])("of %s has so many dispatches in its largest layer", async (_, folder, most) => {
    const { layers } = await described(folder, "f32");
    expect(Math.max(...layers.map(({ dispatches }) => dispatches))).toBe(most);
  });

  test("reads as many bytes as its weights have", async () => {
    const { cost: f32 } = await described(softmax, "f32");
    const { cost: f16 } = await described(softmax, "f16", "f16");
    const { cost: q4 } = await described(softmax, "q4");
    expect(f16.bytes / f32.bytes).toBeLessThanOrEqual(0.55);
    expect(q4.bytes / f32.bytes).toBeLessThanOrEqual(0.32);
    // Every weight once, and little besides.
    const weights = 1_869_504;
    expect(f32.bytes).toBeGreaterThan(4 * weights);
    expect(f32.bytes).toBeLessThan(4 * weights + 2 ** 20);
  });

  test("is one compute pass and one copy of lengths, and allocates nothing", async () => {
    const { model, calls } = await planned(softmax);
    const steps: string[][] = [];
    for await (const _ of model.generate([1, 2, 3], { maxTokens: 8, stopIds: [] }))
      steps.push(calls.splice(0));
    // The first ones compile, and bind for both turns of the state.
    const step = steps[5]!;
    expect(step.filter((call) => call.startsWith("create"))).toEqual([]);
    expect(step.filter((call) => call === "dispatch")).toHaveLength(4 * 6 + 3);
    // The forward pass and sampling.
    expect(step.filter((call) => call === "beginComputePass")).toHaveLength(2);
    // The token chosen last, lengths, the token chosen now.
    expect(step.filter((call) => call === "copyBufferToBuffer")).toHaveLength(3);
    model.destroy();
  });
});
