import { describe, expect, test } from "vitest";
import type { AttentionContext } from "../../src/dispatch/context.js";
import type { TensorLayout } from "../../src/dispatch/tensor-view.js";
import { minimumCapabilities } from "../../test/support/capabilities.js";
import { planSampling, type SamplingOptions } from "./index.js";
import { checkSampling, samplingPass } from "./sampling.js";
import { keptTokens, sampleReference } from "./sampling-reference.js";

const capabilities = minimumCapabilities();
/** Any use of the GPU throws something that is no AttentionError. */
const ctx = { capabilities } as AttentionContext;
const logits: TensorLayout = { dtype: "f32", shape: [2, 1, 1, 100] };

describe("the reference of sampling", () => {
  const values = [1, 3, 3, 0, -1, 2];
  const order = [1, 2, 5, 0, 3, 4];
  test.each<[string, SamplingOptions, number[]]>([
    ["everything", {}, order],
    ["top-k takes what is as likely as the last along", { topK: 1 }, [1, 2]],
    ["top-k", { topK: 3 }, [1, 2, 5]],
    // Shares 1, 1, e^-1, e^-2, e^-3, e^-4: 2.57 together.
    ["top-p of less than the first", { topP: 0.2 }, [1, 2]],
    ["top-p that the third completes", { topP: 0.8 }, [1, 2, 5]],
    ["top-p of what top-k left", { topK: 2, topP: 0.99 }, [1, 2]],
    ["min-p", { minP: 0.3 }, [1, 2, 5]],
    ["temperature flattens", { temperature: 4, minP: 0.4 }, order.slice(0, 5)],
  ])("%s", (_, options, expected) => {
    expect(keptTokens(order, values, options)).toEqual(expected);
  });

  test("tokens come as often as they are likely", () => {
    const draws = 20_000;
    const counts = new Array<number>(values.length).fill(0);
    for (let position = 0; position < draws; position++)
      counts[sampleReference(values, { temperature: 1, seed: 3 }, { position })]!++;
    const shares = values.map((value) => Math.exp(value));
    const total = shares.reduce((sum, share) => sum + share, 0);
    const chi = counts.reduce((sum, count, id) => {
      const expected = (draws * shares[id]!) / total;
      return sum + (count - expected) ** 2 / expected;
    }, 0);
    // Five degrees of freedom: above 20.5 once in a thousand.
    expect(chi).toBeLessThan(20.5);
  });

  test("seeds, places and batch entries have chances of their own", () => {
    const flat = new Array<number>(1000).fill(0);
    const draw = (seed: number, position: number, batch = 0) =>
      sampleReference(flat, { temperature: 1, seed }, { position, batch });
    const drawn = [draw(0, 1), draw(1, 1), draw(2 ** 32, 1), draw(0, 2), draw(0, 1, 1)];
    expect(new Set(drawn).size).toBe(drawn.length);
    expect(draw(7, 3)).toBe(draw(7, 3));
  });
});

describe("the planner of sampling", () => {
  const plan = (options: object) =>
    samplingPass(checkSampling({ logits, ...options }, capabilities), capabilities);

  test("what is not asked for is left out", () => {
    const greedy = plan({ topK: 5, topP: 0.5 });
    expect(greedy.constants).toMatchObject({ GREEDY: true, HAS_PENALTY: false });
    expect(greedy.bindings).toMatchObject({ history: { unused: true }, penalised: { unused: true } });
    expect(plan({ temperature: 1, topK: 100 }).constants).toMatchObject({
      HAS_TOP_K: false,
      HAS_TOP_P: false,
    });
  });

  test("sweeps and scratch are counted", () => {
    const cost = (options: object) => plan(options).cost;
    const [sweep, bytes] = [4 * 2 * 100, 4 * 2 * 100 + 4 * 2];
    // Greedy makes one, whatever else is asked for.
    expect(cost({})).toEqual({ flops: sweep, bytes });
    expect(cost({ topK: 5, topP: 0.5 })).toEqual({ flops: sweep, bytes });
    expect(cost({ temperature: 1, topK: 5, topP: 0.5 })).toEqual({ flops: 19 * sweep, bytes });
    const history = { buffer: { size: 320, usage: 0x80 }, capacity: 40 };
    const penalised = { repetitionPenalty: 2, repetitionWindow: 9, history };
    expect(cost(penalised)).toEqual({ flops: 2 * sweep, bytes: bytes + 4 * 2 * (100 + 9) });
    expect(cost({ history })).toEqual({ flops: sweep, bytes });
  });

  test("a row is a workgroup, and its seed 53 bits", () => {
    const pass = plan({ temperature: 1, seed: 2 ** 33 + 5 });
    expect(pass.workgroups).toEqual([2, 1, 1]);
    expect(pass.uniforms.params).toMatchObject({ seed_low: 5, seed_high: 2, least_gap: -3e30 });
  });

  test.each<[string, object, string, RegExp]>([
    ["a negative temperature", { temperature: -1 }, "shape", /temperature/],
    ["top-k of none", { topK: 0 }, "shape", /topK/],
    ["top-p of none", { topP: 0 }, "shape", /topP/],
    ["min-p above 1", { minP: 2 }, "shape", /minP/],
    ["a penalty of 0", { repetitionPenalty: 0 }, "shape", /repetitionPenalty/],
    ["a penalty without history", { repetitionPenalty: 2 }, "shape", /history/],
    ["a fractional seed", { seed: 0.5 }, "shape", /seed/],
    ["advancing without lengths", { advance: true }, "unsupported", /advance/],
    ["a short history", { history: { buffer: { size: 8, usage: 0x80 }, capacity: 4 } }, "shape", /32 bytes/],
    ["lengths of one entry", { lengths: { size: 4, usage: 0x80 } }, "shape", /lengths/],
    ["an option that there is not", { topk: 4 }, "unsupported", /topk/],
  ])("%s is refused before any GPU call", async (_, options, code, message) => {
    const planned = () => planSampling(ctx, { logits, ...options });
    await expect(planned()).rejects.toThrow(message);
    await expect(planned()).rejects.toMatchObject({ name: "AttentionError", code });
  });
});
