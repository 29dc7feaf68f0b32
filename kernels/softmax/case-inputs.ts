import { asStored } from "../../src/dispatch/float16.js";
import { elementCount, type Shape4 } from "../../src/dispatch/tensor-view.js";
import { type CaseOptions, type SoftmaxCase, shapesOf } from "./cases.js";
import type { SoftmaxOptions } from "./options.js";

export interface DenseData {
  readonly data: Float32Array<ArrayBuffer>;
  readonly shape: Shape4;
}

/** Options that are the same for kernels and reference. */
type PlainOption = "causal" | "queryOffset" | "window" | "scale" | "softcap" | "alibiSlopes" | "rope";

/** Dense data of a case, and its options with data in place of patterns; `bias` apart, since it is a tensor. */
export interface SoftmaxCaseInputs {
  readonly q: DenseData;
  readonly k: DenseData;
  readonly v: DenseData;
  readonly bias?: DenseData;
  readonly options: Pick<SoftmaxOptions, PlainOption> & {
    readonly keyStarts?: readonly number[];
    readonly keyLengths?: readonly number[];
    readonly keyMask?: readonly number[];
    readonly sinkLogits?: readonly number[];
  };
}

/** @param normal standard normal numbers, one a call */
export function makeCaseInputs(problem: SoftmaxCase, normal: () => number): SoftmaxCaseInputs {
  const { batches, tokensQ, tokensK, heads } = problem;
  const make = (shape: Shape4): DenseData => ({
    shape,
    data: Float32Array.from({ length: elementCount(shape) }, normal),
  });
  const { q, k, v } = shapesOf(problem);
  const { bias, keyMask, alibiSlopes, sinkLogits, ...plain } = problem.options;
  const full = [batches, heads, tokensQ, tokensK];
  return {
    q: make(q),
    k: make(k),
    v: make(v),
    ...(bias && { bias: make(full.map((size, axis) => (bias[axis] ? size : 1)) as unknown as Shape4) }),
    options: {
      ...plain,
      ...(alibiSlopes && {
        alibiSlopes: Array.from({ length: heads }, (_, h) => 2 ** (-(8 * (h + 1)) / heads)),
      }),
      ...(sinkLogits && { sinkLogits: Array.from({ length: heads }, normal) }),
      ...(keyMask && { keyMask: makeKeyMask(keyMask, batches, tokensK, normal) }),
    },
  };
}

function makeKeyMask(
  pattern: NonNullable<CaseOptions["keyMask"]>,
  batches: number,
  tokensK: number,
  normal: () => number,
): number[] {
  return Array.from({ length: batches * tokensK }, (_, i) => {
    if (pattern === "random") return normal() > 0 ? 1 : 0;
    if (pattern === "blocks") return (i % tokensK) % 64 < 40 ? 0 : 1;
    return i < tokensK ? 0 : 1;
  });
}

/** Data as its storage type holds it. */
export function rounded({ data, shape }: DenseData, dtype: "f32" | "f16"): DenseData {
  return { shape, data: asStored(data, dtype) };
}
