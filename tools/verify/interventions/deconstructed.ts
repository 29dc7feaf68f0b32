import type { TensorView } from "webgpu-attention";
import { prefixSoftmaxAttention } from "webgpu-attention/linear";
import { softmaxAttention, taylorMod } from "webgpu-attention/softmax";
import { expectedOutput, inputView } from "../case-tensors.js";
import type { Mechanism } from "../mechanism.js";

const TOLERANCE = 1e-5;

/** The non-approximate form and the second-order Taylor form; `input.q_raw` is before the activation that the first of them has. */
export const runDeconstructed: Mechanism = async (ctx, testCase, buffers) => {
  const [q, k, v] = ["q_raw", "k", "v"].map((part) => inputView(testCase, buffers, `input.${part}`)) as [
    TensorView,
    TensorView,
    TensorView,
  ];
  const prefix = expectedOutput("expect.nonapprox64", testCase, buffers)!;
  await prefixSoftmaxAttention(ctx, q, k, v, { out: prefix.view });
  const taylor = expectedOutput("expect.taylor_joint64", testCase, buffers)!;
  await softmaxAttention(ctx, q, k, v, { causal: true, scoreMod: taylorMod(), out: taylor.view });
  return Promise.all(
    [prefix, taylor].map(async ({ name, view, expected }) => ({
      ...{ name, expected, tolerance: TOLERANCE },
      actual: await ctx.read(view),
    })),
  );
};
