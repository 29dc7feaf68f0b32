import { bytesPerElement } from "../../src/dispatch/tensor-view.js";
import features from "./features.wgsl";
import { type Bindings, type Cut, type Draft, readConditions } from "./pass-parts.js";
import type { FlowShape } from "./problem.js";
import type { Scratch } from "./scratch.js";

/** logistic(x) of queries or keys and its sums over chunks, which both forms begin with. */
export function featurePass(shape: FlowShape, cut: Cut, scratch: Scratch, side: "queries" | "keys"): Draft {
  const { headDim, tokensQ, tokensK, q, k } = shape;
  const { count, tokens } = cut[side];
  const all = cut.headCount * (side === "queries" ? tokensQ : tokensK);
  return {
    name: "flow/features",
    kernel: features,
    side,
    tensors: [side === "queries" ? q : k],
    conditions: readConditions(shape),
    bindings: {
      lengths: { table: "lengths" },
      vectors: scratch.vectors,
      x: { tensor: side === "queries" ? "q" : "k" },
      features: scratch[side],
    } satisfies Bindings<"features">,
    groups: cut.headCount * count,
    // An exponential and a division take as long as a dozen operations.
    work: tokens * headDim * 16,
    flops: tokens * headDim,
    bytes: all * headDim * (4 + bytesPerElement(q.dtype)),
  };
}
