/** Captures and patches by themselves: sizes that change, phases, parts, and what is refused before a copy is recorded. */
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { testContext } from "../../../test/support/gpu.js";
import type { AttentionContext, Shape4, TensorView } from "../../index.js";
import type { AttentionSite } from "../intervention/attention-hook.js";
import { captureActivations, type PatchOperation, patchActivations } from "./activation-hooks.js";
import { recordTensorCopy } from "./tensor-copy.js";

const prefill: AttentionSite = { layer: 0, mechanism: "softmax", phase: "prefill", positions: [0, 4] };
const decode: AttentionSite = { ...prefill, phase: "decode", positions: [4, 5] };
const WIDE: Shape4 = [2, 4, 2, 3];

let ctx: AttentionContext;
const made: TensorView[] = [];
beforeAll(async () => {
  ctx = await testContext();
});
afterAll(() => {
  for (const { buffer } of made) buffer.destroy();
});

/** Counts from `first`. */
function counted(shape: Shape4, first: number, dtype: "f32" | "f16" = "f32"): TensorView {
  const data = Float32Array.from({ length: shape.reduce((a, b) => a * b) }, (_, n) => first + n);
  const view = ctx.fromArray(data, shape, dtype);
  made.push(view);
  return view;
}

const patchOf = (operation: Omit<PatchOperation, "kind">, phase?: AttentionSite["phase"]) =>
  patchActivations([
    { layer: 0, name: "q", ...(phase && { phase }), operation: { kind: "patch", ...operation } },
  ]);

describe("captureActivations", () => {
  it("keeps what recorded work copies into, whatever sizes follow in the same submit", async () => {
    const capture = captureActivations(ctx, { names: ["q"] });
    const [wide, one, wider] = [counted(WIDE, 1), counted([2, 1, 2, 3], 100), counted([2, 7, 2, 3], 200)];
    await ctx.submitChecked((encoder) => {
      capture.activation(prefill, "q", encoder, wide);
      capture.activation(decode, "q", encoder, one);
      capture.activation(prefill, "q", encoder, wider);
      capture.activation(decode, "q", encoder, one);
    });
    expect(await ctx.read(capture.get(0, "q")!)).toEqual(await ctx.read(one));
    await ctx.submitChecked((encoder) => capture.activation(prefill, "q", encoder, wider));
    expect(await ctx.read(capture.get(0, "q")!)).toEqual(await ctx.read(wider));
    capture.destroy();
  });

  it("keeps one phase's where it is named", async () => {
    const capture = captureActivations(ctx, { names: ["q"], phase: "prefill" });
    const wide = counted(WIDE, 1);
    await ctx.submitChecked((encoder) => {
      capture.activation(prefill, "q", encoder, wide);
      capture.activation(decode, "q", encoder, counted([2, 1, 2, 3], 100));
    });
    expect(await ctx.read(capture.get(0, "q")!)).toEqual(await ctx.read(wide));
    capture.destroy();
  });

  it("allocates seldom, though keys grow with every step", async () => {
    const capture = captureActivations(ctx, { names: ["k"] });
    const create = vi.spyOn(ctx.device, "createBuffer");
    const steps = Array.from({ length: 30 }, (_, n) => counted([1, 1 + n, 1, 4], 0));
    create.mockClear();
    await ctx.submitChecked((encoder) => {
      for (const keys of steps) capture.activation(decode, "k", encoder, keys);
    });
    expect(create.mock.calls.length).toBeLessThanOrEqual(6);
    create.mockRestore();
    capture.destroy();
  });

  it("has to know what", () => {
    const shape = expect.objectContaining({ code: "shape" });
    expect(() => captureActivations(ctx, {} as never)).toThrow(shape);
  });
});

describe("patchActivations", () => {
  it("leaves the other phase alone", async () => {
    const hook = patchOf({ source: counted(WIDE, 500) }, "prefill");
    const [whole, step] = [counted(WIDE, 1), counted([2, 1, 2, 3], 1)];
    const before = await ctx.read(step);
    await ctx.submitChecked((encoder) => {
      hook.activation!(prefill, "q", encoder, whole);
      hook.activation!(decode, "q", encoder, step);
    });
    expect(await ctx.read(whole)).toEqual(Float32Array.from({ length: 48 }, (_, n) => 500 + n));
    expect(await ctx.read(step)).toEqual(before);
  });

  it("takes batch entries, heads and tokens, from and into strided tensors", async () => {
    // Two tensors side by side in each token, of which the second is the source and the first the target.
    const side = (view: TensorView, offset: number): TensorView => ({
      ...{ ...view, shape: WIDE, offset },
      strides: [4 * 12, 12, 3, 1],
    });
    const [from, to] = [counted([2, 4, 4, 3], 1000), counted([2, 4, 4, 3], 0)];
    const hook = patchOf({ source: side(from, 6), entries: [1], heads: [1], tokens: [1, 3] });
    await ctx.submitChecked((encoder) => hook.activation!(prefill, "q", encoder, side(to, 0)));
    const expected = Float32Array.from({ length: 96 }, (_, n) => {
      const [b, token, head] = [Math.floor(n / 48), Math.floor(n / 12) % 4, Math.floor(n / 3) % 4];
      return b === 1 && head === 1 && (token === 1 || token === 2) ? 1000 + n + 6 : n;
    });
    expect(await ctx.read(to)).toEqual(expected);
  });

  it("takes f16 where runs are whole words", async () => {
    const [from, to] = [counted([1, 3, 1, 2], 50, "f16"), counted([1, 3, 1, 2], 0, "f16")];
    await ctx.submitChecked((encoder) => recordTensorCopy(encoder, from, to, { tokens: [1, 2] }));
    expect([...(await ctx.read(to))]).toEqual([0, 1, 52, 53, 4, 5]);
  });

  it.each<[string, string, (target: TensorView) => Omit<PatchOperation, "kind">]>([
    ["the activation's own buffer", "unsupported", (target) => ({ source: target })],
    ["a source beyond its buffer", "shape", () => ({ source: { ...counted(WIDE, 0), offset: 1 } })],
    ["no heads", "shape", () => ({ source: counted(WIDE, 0), heads: [] })],
    ["entries that are not there", "shape", () => ({ source: counted(WIDE, 0), entries: [2] })],
    ["tokens that are not there", "shape", () => ({ source: counted(WIDE, 0), tokens: [3, 5] })],
  ])("refuses %s, before a copy is recorded", (_, code, operation) => {
    const target = counted(WIDE, 0);
    const encoder = ctx.device.createCommandEncoder();
    const copy = vi.spyOn(encoder, "copyBufferToBuffer");
    const hook = patchOf(operation(target));
    expect(() => hook.activation!(prefill, "q", encoder, target)).toThrow(expect.objectContaining({ code }));
    expect(copy).not.toHaveBeenCalled();
  });

  it("refuses f16 runs of half words, the first of which would be whole", () => {
    const [from, to] = [counted([1, 2, 2, 3], 0, "f16"), counted([1, 2, 2, 3], 0, "f16")];
    const encoder = ctx.device.createCommandEncoder();
    const copy = vi.spyOn(encoder, "copyBufferToBuffer");
    const unsupported = expect.objectContaining({ code: "unsupported" });
    expect(() => recordTensorCopy(encoder, from, to, { heads: [0] })).toThrow(unsupported);
    expect(copy).not.toHaveBeenCalled();
  });

  it("refuses phases and options that nobody knows", () => {
    const unsupported = expect.objectContaining({ code: "unsupported" });
    const source = counted(WIDE, 0);
    expect(() => patchOf({ source }, "training" as never)).toThrow(unsupported);
    expect(() => patchOf({ source, head: [1] } as never)).toThrow(unsupported);
  });
});
