import { describe, expect, it } from "vitest";
import { difference } from "../../test/support/compare.js";
import { goldenFiles } from "../../test/support/golden.js";
import type { SafetensorsTensor } from "../../test/support/safetensors.js";
import { swapAxes } from "../../test/support/swap-axes.js";
import { type DenseTensor, flowAttentionReference } from "./reference.js";

interface GoldenParams {
  readonly causal: boolean;
  readonly clamp: number | null;
  readonly eps: number;
  readonly variant: "core" | "cv";
}

/** The golden files are [B, H, N, D]; the reference takes [B, N, H, D]. */
function swapHeadsAndTokens({ shape, data }: SafetensorsTensor): DenseTensor {
  const [b, h, n, d] = shape as [number, number, number, number];
  return { data: swapAxes(data as Float32Array, [b, h, n, d]), shape: [b, n, h, d] };
}

describe("flowAttentionReference", () => {
  it.each(goldenFiles("flow"))("agrees with the authors' code: $file", ({ metadata, tensors }) => {
    const { causal, clamp, eps, variant } = JSON.parse(metadata.params!) as GoldenParams;
    const out = flowAttentionReference({
      q: swapHeadsAndTokens(tensors.get("q")!),
      k: swapHeadsAndTokens(tensors.get("k")!),
      v: swapHeadsAndTokens(tensors.get("v")!),
      causal,
      clamp,
      epsilon: eps,
      variant,
    });
    // What remains is the float32 rounding of the authors' code.
    expect(difference(out, tensors.get("core")!.data as Float32Array).maxRelative).toBeLessThan(2e-6);
  });

  const tensor = (data: number[]): DenseTensor => ({ data, shape: [1, data.length, 1, 1] });
  const [q, k, v] = [tensor([0.3, -2, 1]), tensor([1, -1, 3]), tensor([5, 7, -4])];

  it("leaves padding out and its rows at zero", () => {
    const short = flowAttentionReference({ q: tensor([0.3, -2]), k: tensor([1]), v: tensor([5]) });
    const padded = flowAttentionReference({ q, k, v, queryLengths: [2], keyLengths: [1] });
    expect([...padded]).toEqual([...short, 0]);
    expect([...flowAttentionReference({ q, k, v, keyLengths: [0] })]).toEqual([0, 0, 0]);
  });

  it("never looks ahead when causal", () => {
    const first = flowAttentionReference({ q: tensor([0.3]), k: tensor([1]), v: tensor([5]) });
    const out = flowAttentionReference({ q, k, v, causal: true });
    expect(out[0]).toBeCloseTo(first[0]!, 12);
  });

  it("stays finite without a clamp where e^flow would not", () => {
    const wide = tensor(Array.from({ length: 2000 }, (_, t) => (t < 1990 ? -30 : 30)));
    for (const causal of [false, true]) {
      const out = flowAttentionReference({ q: wide, k: wide, v: wide, causal, clamp: null });
      expect(out.every(Number.isFinite)).toBe(true);
    }
  });
});
