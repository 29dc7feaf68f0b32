import { asStored } from "../../src/dispatch/float16.js";
import type { Shape4 } from "../../src/dispatch/tensor-view.js";
import type { LinearCase } from "./cases.js";
import type { LinearForwardOptions } from "./options.js";
import type { DenseTensor } from "./reference.js";

export interface LinearCaseInputs {
  readonly q: DenseTensor & { readonly data: Float32Array<ArrayBuffer> };
  readonly k: DenseTensor & { readonly data: Float32Array<ArrayBuffer> };
  readonly v: DenseTensor & { readonly data: Float32Array<ArrayBuffer> };
  readonly options: LinearForwardOptions;
  /** Dense [B, H, D, Dv] and [B, H, D]. */
  readonly state?: { readonly s: Float32Array<ArrayBuffer>; readonly z?: Float32Array<ArrayBuffer> };
}

/** @param normal standard normal numbers, one a call */
export function makeLinearInputs(problem: LinearCase, normal: () => number): LinearCaseInputs {
  const { batches, tokens, heads, headDim, valueDim, dtype, normalize = false, decay } = problem;
  const make = (shape: Shape4) => ({
    shape,
    data: asStored(numbers(batches * tokens * heads * shape[3], normal), dtype),
  });
  const { causal, scale, featureMap } = problem;
  return {
    q: make([batches, tokens, heads, headDim]),
    k: make([batches, tokens, heads, headDim]),
    v: make([batches, tokens, heads, valueDim]),
    options: {
      ...(causal !== undefined && { causal }),
      ...(scale !== undefined && { scale }),
      ...(featureMap && { featureMap }),
      ...(normalize && { normalize }),
      ...(decay && { decay: Array.from({ length: heads }, (_, head) => decay[head % decay.length]!) }),
    },
    ...(problem.state && {
      state: {
        s: numbers(batches * heads * headDim * valueDim, normal),
        // A sum of keys is not negative where a normaliser makes sense.
        ...(normalize && { z: numbers(batches * heads * headDim, normal).map(Math.abs) }),
      },
    }),
  };
}

function numbers(count: number, normal: () => number): Float32Array<ArrayBuffer> {
  return Float32Array.from({ length: count }, normal);
}
