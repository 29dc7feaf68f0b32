import { asStored } from "../../src/dispatch/float16.js";
import { elementCount, type Shape4, type TensorLayout } from "../../src/dispatch/tensor-view.js";
import { normalArray, randomSource } from "../../test/support/random.js";
import type { MixtureCase } from "./cases.js";
import { headRouterReference, type MixtureReferenceInputs } from "./reference.js";

/** Data in logical order. */
export interface Dense {
  readonly data: Float32Array<ArrayBuffer>;
  readonly shape: Shape4;
}

/** What a case computes with, as its storage holds it. */
export interface MixtureInputs {
  readonly x: Dense;
  readonly q: Dense;
  readonly k: Dense;
  readonly v: Dense;
  /** Of the learned router; empty for the norm router. */
  readonly weights: { readonly routed?: Dense; readonly shared?: Dense; readonly balance?: Dense };
  readonly weight: Dense;
  readonly bias?: Dense;
}

/** f32 may order two heads the other way when their scores are this close. */
const LEAST_MARGIN = 1e-5;

/** Inputs of a case whose heads f32 and f64 choose alike: where scores lie too close, the next seed is taken. */
export function makeCaseInputs(problem: MixtureCase, seed = 1): MixtureInputs {
  for (let next = seed; ; next += 1000) {
    const inputs = inputsOf(problem, randomSource(next));
    if (headRouterReference(routerInputs(problem, inputs)).margin > LEAST_MARGIN) return inputs;
  }
}

function inputsOf(problem: MixtureCase, random: () => number): MixtureInputs {
  const { batches, tokens, tokensK, heads, kvHeads, headDim, valueDim, width, outer, dtype } = problem;
  const make = (shape: Shape4, scale = 1, type: "f32" | "f16" = "f32"): Dense => {
    const data = normalArray(elementCount(shape), random).map((value) => scale * value);
    return { data: asStored(data, type), shape };
  };
  const { sharedHeads, topK, router } = problem;
  const matrix = (inner: number, columns: number) => make([1, 1, inner, columns], 1 / Math.sqrt(inner));
  return {
    x: make([batches, tokens, 1, width], 1, dtype),
    q: make([batches, tokens, heads, headDim], 1, dtype),
    k: make([batches, tokensK, kvHeads, headDim], 1, dtype),
    v: make([batches, tokensK, kvHeads, valueDim], 1, dtype),
    weights:
      router === "norm"
        ? {}
        : {
            ...(topK > 0 && { routed: matrix(width, heads - sharedHeads) }),
            ...(sharedHeads > 1 && { shared: matrix(width, sharedHeads) }),
            ...(sharedHeads > 0 && topK > 0 && { balance: matrix(width, 2) }),
          },
    weight: matrix(heads * valueDim, outer),
    ...(problem.hasBias && { bias: make([1, 1, 1, outer]) }),
  };
}

export function routerInputs(
  { heads, sharedHeads, topK, router }: MixtureCase,
  { x, q, weights }: MixtureInputs,
) {
  return { heads, sharedHeads, topK, ...(router === "norm" ? { q } : { x, weights }) };
}

export function referenceInputs(problem: MixtureCase, inputs: MixtureInputs): MixtureReferenceInputs {
  const { sharedHeads, topK, router, options } = problem;
  const { bias, ...tensors } = inputs;
  return {
    ...tensors,
    ...{ sharedHeads, topK, router, attention: options },
    ...(bias && { bias: bias.data }),
  };
}

/** A matrix in the order in which a case keeps it. */
export function storedMatrix(
  { data, shape }: Dense,
  innerFirst: boolean,
): { layout: TensorLayout; data: Float32Array<ArrayBuffer> } {
  const [, , inner, columns] = shape;
  if (!innerFirst) return { layout: { dtype: "f32", shape }, data };
  const flipped = data.map((_, i) => data[(i % inner) * columns + Math.floor(i / inner)]!);
  return { layout: { dtype: "f32", shape, strides: [0, 0, 1, inner] }, data: flipped };
}
