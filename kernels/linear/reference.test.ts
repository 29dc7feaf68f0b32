import { describe, expect, it } from "vitest";
import { difference } from "../../test/support/compare.js";
import { type GoldenFile, goldenFiles } from "../../test/support/golden.js";
import { normalArray, randomSource } from "../../test/support/random.js";
import { swapAxes } from "../../test/support/swap-axes.js";
import type { FeatureMap } from "./options.js";
import {
  type DenseTensor,
  type LinearReferenceProblem,
  linearAttentionGradientReference,
  linearAttentionReference,
} from "./reference.js";

interface GoldenParams {
  readonly kind: string;
  readonly scale?: number;
  readonly normalize?: boolean;
  readonly eps?: number;
}

const CORE_KINDS = ["core", "recurrent", "fla", "linear"];
const params = ({ metadata }: GoldenFile) => JSON.parse(metadata.params!) as GoldenParams;

describe("linearAttentionReference", () => {
  const files = goldenFiles("lightning").filter((file) => CORE_KINDS.includes(params(file).kind));

  it.each(files)("agrees with the authors' code: $file", (file) => {
    const { scale, normalize, eps } = params(file);
    const data = (name: string) => file.tensors.get(name)?.data as Float32Array | undefined;
    const swapped = (name: string): DenseTensor => {
      const [b, h, n, d] = file.tensors.get(name)!.shape as [number, number, number, number];
      return { data: swapAxes(data(name)!, [b, h, n, d]), shape: [b, n, h, d] };
    };
    const rates = data("slopes") ?? data("log_gamma")?.map((value) => -value);
    const initial = data("initial_state");
    const result = linearAttentionReference({
      q: swapped("q"),
      k: swapped("k"),
      v: swapped("v"),
      ...(scale !== undefined && { scale }),
      ...(rates && { decay: rates }),
      ...(normalize && { normalize, epsilon: eps }),
      ...(initial && { state: { s: initial } }),
    });
    // What remains is the float32 rounding of the authors' code.
    expect(difference(result.out, swapped("out").data).maxRelative).toBeLessThan(3e-6);
    const [final, z] = [data("final_state"), data("final_z")];
    if (final) expect(difference(result.s, final).maxRelative).toBeLessThan(3e-6);
    if (z) expect(difference(result.z, z).maxRelative).toBeLessThan(3e-6);
  });
});

describe("linearAttentionGradientReference", () => {
  const [tokens, heads, dim, width] = [5, 2, 3, 2] as const;
  const random = randomSource(2);
  const tensor = (channels: number): DenseTensor & { data: Float64Array } => ({
    data: Float64Array.from(normalArray(tokens * heads * channels, random)),
    shape: [1, tokens, heads, channels],
  });

  it.each<[string, { causal: boolean; featureMap: FeatureMap; decay?: number[] }]>([
    ["causal, with decay", { causal: true, featureMap: "identity", decay: [0.3, 0.01] }],
    ["causal, silu", { causal: true, featureMap: "silu", decay: [0.3, 0] }],
    ["all to all, elu+1", { causal: false, featureMap: "elu+1" }],
  ])("is the slope of the reference: %s", (_name, options) => {
    const [q, k, v, dOut] = [tensor(dim), tensor(dim), tensor(width), tensor(width)];
    const count = heads * dim * width;
    const states = options.causal
      ? { s: Float64Array.from(normalArray(count, random)), d: Float64Array.from(normalArray(count, random)) }
      : undefined;
    const problem: LinearReferenceProblem = {
      ...options,
      scale: 0.7,
      q,
      k,
      v,
      ...(states && { state: { s: states.s } }),
    };
    /** What the gradients are those of: the outputs weighed with dOut, and the leaving state with d. */
    const total = () => {
      const { out, s } = linearAttentionReference(problem);
      const weigh = (values: Float64Array, by: Float64Array) =>
        values.reduce((sum, x, i) => sum + x * by[i]!, 0);
      return weigh(out, dOut.data) + (states ? weigh(s, states.d) : 0);
    };
    const found = linearAttentionGradientReference({ ...problem, dOut, ...(states && { dState: states.d }) });
    const compared: [Float64Array, Float64Array][] = [
      [q.data, found.dq],
      [k.data, found.dk],
      [v.data, found.dv],
      ...(states ? [[states.s, found.ds] as [Float64Array, Float64Array]] : []),
    ];
    for (const [values, gradient] of compared) {
      for (let i = 0; i < values.length; i++) {
        const value = values[i]!;
        const step = 1e-5;
        values[i] = value + step;
        const above = total();
        values[i] = value - step;
        const slope = (above - total()) / (2 * step);
        values[i] = value;
        expect(gradient[i]).toBeCloseTo(slope, 6);
      }
    }
  });
});
