import type { SoftmaxCase } from "../../kernels/softmax/cases.js";
import type { OperatorModel } from "./onnx-model.js";

const DOMAIN = "com.microsoft";

/** onnxruntime's operator for attention without a cache. Tensors are [B, T, H * D], the same memory as [B, T, H, D]. */
export function multiHeadAttention(problem: SoftmaxCase): OperatorModel {
  const { batches, tokensQ, tokensK, heads, headDim, valueDim, options } = problem;
  return {
    operator: "MultiHeadAttention",
    domain: DOMAIN,
    operatorInputs: ["q", "k", "v"],
    attributes: { num_heads: heads, ...(options.causal && { unidirectional: 1 }) },
    inputs: {
      q: [batches, tokensQ, heads * headDim],
      k: [batches, tokensK, heads * headDim],
      v: [batches, tokensK, heads * valueDim],
    },
    outputs: { out: [batches, tokensQ, heads * valueDim] },
    constants: {},
  };
}

/**
 * onnxruntime's operator for grouped heads, always causal: query rows are the last ones. A prompt comes with all its keys;
 * a decode step with one new key, and a cache [B, Hkv, T, D] of the others that the operator appends it to.
 */
export function groupQueryAttention(problem: SoftmaxCase): OperatorModel {
  const { batches, tokensQ, tokensK, heads, kvHeads, headDim, valueDim } = problem;
  const cached = tokensK > tokensQ;
  const cache = [batches, kvHeads, tokensK, headDim];
  return {
    operator: "GroupQueryAttention",
    domain: DOMAIN,
    operatorInputs: [
      "q",
      "k",
      "v",
      cached ? "past_key" : "",
      cached ? "past_value" : "",
      "last_key",
      "total",
    ],
    attributes: { num_heads: heads, kv_num_heads: kvHeads, do_rotary: 0 },
    inputs: {
      q: [batches, tokensQ, heads * headDim],
      k: [batches, tokensQ, kvHeads * headDim],
      v: [batches, tokensQ, kvHeads * valueDim],
      ...(cached && { past_key: cache, past_value: cache }),
    },
    outputs: { out: [batches, tokensQ, heads * valueDim], present_key: cache, present_value: cache },
    // The position of the last key, counted from 0, for each batch entry; and the number of keys.
    constants: { last_key: Array<number>(batches).fill(tokensK - 1), total: [tokensK] },
  };
}

/** The operators that can compute this problem. */
export function attentionModels(problem: SoftmaxCase): OperatorModel[] {
  const { heads, kvHeads, tokensQ, tokensK, headDim, valueDim, options } = problem;
  const asLastRows = options.causal === true || tokensQ === 1;
  return [
    ...(heads === kvHeads && (!options.causal || tokensQ === tokensK) ? [multiHeadAttention(problem)] : []),
    ...(asLastRows && headDim === valueDim ? [groupQueryAttention(problem)] : []),
  ];
}
