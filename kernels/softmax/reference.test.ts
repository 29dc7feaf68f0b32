import { describe, expect, it } from "vitest";
import { difference } from "../../test/support/compare.js";
import { goldenFiles } from "../../test/support/golden.js";
import type { SafetensorsTensor } from "../../test/support/safetensors.js";
import { swapAxes } from "../../test/support/swap-axes.js";
import { type DenseTensor, type SoftmaxReferenceInputs, softmaxAttentionReference } from "./reference.js";

interface GoldenParams {
  readonly scale?: number;
  readonly causal?: boolean;
  readonly wl?: number;
  readonly wr?: number;
  readonly softcap?: number;
  readonly off?: number;
}

/** The golden files are [B, H, N, D]; the reference takes [B, N, H, D]. */
function swapHeadsAndTokens({ shape, data }: SafetensorsTensor): DenseTensor {
  const [b, h, n, d = 1] = shape as [number, number, number, number?];
  return { data: swapAxes(data as Float32Array, [b, h, n, d]), shape: [b, n, h, d] };
}

describe("softmaxAttentionReference", () => {
  it.each(goldenFiles("softmax"))("agrees with the authors' code: $file", ({ metadata, tensors }) => {
    const params = JSON.parse(metadata.params!) as GoldenParams;
    const optional = (name: string) => tensors.get(name)?.data as Float32Array | undefined;
    const bias = tensors.get("bias");
    const result = softmaxAttentionReference({
      q: swapHeadsAndTokens(tensors.get("q")!),
      k: swapHeadsAndTokens(tensors.get("k")!),
      v: swapHeadsAndTokens(tensors.get("v")!),
      causal: params.causal,
      scale: params.scale,
      softcap: params.softcap,
      queryOffset: params.off,
      window: { left: params.wl, right: params.wr },
      alibiSlopes: optional("slopes"),
      bias: bias && { data: bias.data as Float32Array, shape: bias.shape as DenseTensor["shape"] },
      keyMask: optional("key_mask"),
      sinkLogits: optional("sinks"),
    });
    // What remains is the float32 rounding of the authors' code.
    expect(difference(result.out, swapHeadsAndTokens(tensors.get("out")!).data).maxRelative).toBeLessThan(
      2e-6,
    );
    expect(difference(result.lse, swapHeadsAndTokens(tensors.get("lse")!).data).maxRelative).toBeLessThan(
      2e-6,
    );
  });

  // One query at the last of three keys with scores 0, so that every visible key weighs the same.
  const flat = (rest: Partial<SoftmaxReferenceInputs>) =>
    softmaxAttentionReference({
      q: { data: [0], shape: [1, 1, 1, 1] },
      k: { data: [0, 0, 0], shape: [1, 3, 1, 1] },
      v: { data: [1, 10, 100], shape: [1, 3, 1, 1] },
      ...rest,
    });

  it.each<[string, Partial<SoftmaxReferenceInputs>, number, number]>([
    ["nothing", {}, 111 / 3, Math.log(3)],
    ["a query offset with causal", { causal: true, queryOffset: 1 }, 11 / 2, Math.log(2)],
    ["a left window", { window: { left: 1 } }, 110 / 2, Math.log(2)],
    ["a right window", { window: { right: 1 }, queryOffset: 0 }, 11 / 2, Math.log(2)],
    ["key starts", { keyStarts: [1] }, 110 / 2, Math.log(2)],
    ["key lengths, counted from key 0", { keyStarts: [1], keyLengths: [2] }, 10, 0],
    ["a key mask", { keyMask: [1, 0, 1] }, 101 / 2, Math.log(2)],
    ["a sink", { sinkLogits: [Math.log(7)] }, 11.1, Math.log(10)],
    ["ALiBi", { alibiSlopes: [Math.log(2)] }, (0.25 + 5 + 100) / 1.75, Math.log(1.75)],
    ["a bias of −∞", { bias: { data: [0, -Infinity, 0], shape: [1, 1, 1, 3] } }, 101 / 2, Math.log(2)],
    ["no visible key", { keyMask: [0, 0, 0] }, 0, -Infinity],
    ["no visible key but a sink", { keyLengths: [0], sinkLogits: [2] }, 0, 2],
    ["a query before all keys", { causal: true, queryOffset: -1 }, 0, -Infinity],
  ])("handles %s", (_what, rest, out, lse) => {
    const result = flat(rest);
    expect(result.out[0]).toBeCloseTo(out, 12);
    if (Number.isFinite(lse)) expect(result.lse[0]).toBeCloseTo(lse, 12);
    else expect(result.lse[0]).toBe(lse);
  });

  it("refuses tensors whose sizes do not match", () => {
    expect(() => flat({ keyMask: [1, 1] })).toThrow("keyMask: expected 3 values, got 2");
    expect(() => flat({ bias: { data: [0, 0], shape: [1, 1, 1, 2] } })).toThrow("bias.shape[3]");
  });
});
