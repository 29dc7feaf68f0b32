/** What is refused before anything is compiled, and what a one-shot call makes of buffers that are gone. */
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { testContext, testDevice } from "../../../test/support/gpu.js";
import { normalArray, randomSource } from "../../../test/support/random.js";
import { AttentionContext, type TensorView } from "../../index.js";
import type { HeadOperation } from "../operations.js";
import { attentionCalibration } from "../sink-calibration/shift-operations.js";
import { attentionPattern } from "./attention-pattern.js";
import {
  type IntervenedProblem,
  intervenedAttention,
  planIntervenedAttention,
} from "./intervened-attention.js";

const shape = [1, 12, 2, 8] as const;
const scale: HeadOperation = { kind: "scale", logits: 2 };
const softPag: HeadOperation = { kind: "mix", target: "identity", u: 0.5 };

let ctx: AttentionContext;
let tensors: Record<"q" | "k" | "v", TensorView>;
beforeAll(async () => {
  ctx = await testContext();
  const random = randomSource(2);
  const made = () => ctx.fromArray(normalArray(12 * 2 * 8, random), shape);
  tensors = { q: made(), k: made(), v: made() };
});
afterAll(() => {
  for (const { buffer } of Object.values(tensors)) buffer.destroy();
});

/** What planning throws, without a pipeline compiled. */
async function refusal(problem: Omit<IntervenedProblem, "q" | "k" | "v">): Promise<unknown> {
  const compile = vi.spyOn(ctx.device, "createComputePipelineAsync");
  try {
    const refused = await planIntervenedAttention(ctx, { ...tensors, ...problem }).then(
      () => undefined,
      ({ code }) => code,
    );
    expect(compile).not.toHaveBeenCalled();
    return refused;
  } finally {
    compile.mockRestore();
  }
}

const on = (...operations: unknown[]) => new Map([[0, operations as HeadOperation[]]]);

const PACKED = { queryOffsets: [0, 5, 12], keyOffsets: [0, 5, 12] };

describe("planIntervenedAttention", () => {
  it.each<[string, HeadOperation]>([
    ["a scale", scale],
    ["a mix", softPag],
    ["a shift", attentionCalibration()],
  ])("refuses packed sequences beside %s, before anything is compiled", async (_, operation) => {
    expect(await refusal({ ...PACKED, heads: on(operation) })).toBe("unsupported");
  });

  it("refuses listed rows beside a scale", async () => {
    const queryRows = ctx.device.createBuffer({ size: 4 * 2 * 13, usage: 0x80 });
    expect(await refusal({ queryRows, heads: on(scale) })).toBe("unsupported");
    queryRows.destroy();
  });

  it.each<[string, string, unknown[]]>([
    ["a strength above 1", "shape", [{ ...softPag, u: 2 }]],
    ["a misspelt option", "unsupported", [{ ...scale, row: "last" }]],
    [
      "an unknown target after a shift",
      "unsupported",
      [attentionCalibration(), { ...softPag, target: "inverse" }],
    ],
    ["a late log-linear path", "unsupported", [softPag, { ...softPag, path: "logLinear" }]],
  ])("refuses %s before anything is compiled", async (_, code, operations) => {
    expect(await refusal({ heads: on(...operations) })).toBe(code);
  });

  it("refuses keys of a shift that are none before attention is compiled or measured", async () => {
    const compile = vi.spyOn(ctx.device, "createComputePipelineAsync");
    const heads = on({ ...attentionCalibration(), protect: [-1] });
    const shapeError = expect.objectContaining({ code: "shape" });
    await expect(planIntervenedAttention(ctx, { ...tensors, heads })).rejects.toThrow(shapeError);
    const labels = compile.mock.calls.map(([{ label }]) => label);
    expect(labels.filter((label) => label?.startsWith("softmax/"))).toEqual([]);
    compile.mockRestore();
  });

  it("plans nothing for operations that change nothing", async () => {
    const none = on(
      { ...softPag, u: 0 },
      { kind: "gain", output: 1 },
      { ...attentionCalibration(), keep: 1 },
    );
    const plan = await planIntervenedAttention(ctx, { ...tensors, heads: none });
    expect(plan.passes).toHaveLength(1);
    plan.destroy();
  });

  it("records nothing where a tensor of a later stage is missing", async () => {
    const hidden = { dtype: "f32", shape: [1, 12, 1, 4] } as const;
    const operation = { ...attentionCalibration(), sinks: { hidden: { dims: [1], tau: 2 } } };
    const plan = await planIntervenedAttention(ctx, { ...tensors, hidden, heads: on(softPag, operation) });
    const encoder = ctx.device.createCommandEncoder();
    const begun = vi.spyOn(encoder, "beginComputePass");
    const out = ctx.empty(shape);
    const code = expect.objectContaining({ code: "shape" });
    expect(() => plan.record(encoder, { ...tensors, out })).toThrow(code);
    expect(begun).not.toHaveBeenCalled();
    plan.destroy();
    out.buffer.destroy();
  });
});

it("says which layers need more buffers than every device has", async () => {
  const least = await AttentionContext.create(await testDevice({}));
  const layout = { dtype: "f32", shape } as const;
  const problem = { q: layout, k: layout, v: layout };
  const path = { ...softPag, path: "logLinear" };
  const fits = await planIntervenedAttention(least, { ...problem, heads: on(scale, path) });
  fits.destroy();
  const limit = expect.objectContaining({ code: "limit" });
  const heads = on(scale, path, { ...softPag, path: "slerp" });
  await expect(planIntervenedAttention(least, { ...problem, heads })).rejects.toThrow(limit);
  least.destroy();
  least.device.destroy();
});

describe("intervenedAttention", () => {
  it("rejects where a buffer is gone, instead of giving zeros", async () => {
    const v = ctx.empty(shape);
    v.buffer.destroy();
    const gone = expect.objectContaining({ code: "disposed" });
    await expect(intervenedAttention(ctx, tensors.q, tensors.k, v, { heads: on(softPag) })).rejects.toThrow(
      gone,
    );
  });
});

describe("attentionPattern", () => {
  it("refuses options that name rows otherwise, without operations too", async () => {
    const unsupported = expect.objectContaining({ code: "unsupported" });
    const { q, k } = tensors;
    await expect(attentionPattern(ctx, q, k, { rows: [0, 2], ...PACKED })).rejects.toThrow(unsupported);
    const queryRows = ctx.device.createBuffer({ size: 4 * 2 * 13, usage: 0x80 });
    await expect(attentionPattern(ctx, q, k, { rows: [0, 2], queryRows })).rejects.toThrow(unsupported);
    queryRows.destroy();
    const shapeError = expect.objectContaining({ code: "shape" });
    await expect(attentionPattern(ctx, q, k, {} as never)).rejects.toThrow(shapeError);
  });
});
