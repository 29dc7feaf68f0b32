import type { AttentionContext, TensorView } from "webgpu-attention";
import { type SoftmaxCallOptions, softmaxAttention } from "webgpu-attention/softmax";
import type { CaseBuffers } from "../case-buffers.js";
import { expectedOutput, heldByHeads, inputView } from "../case-tensors.js";
import type { ComparedOutput, Mechanism } from "../mechanism.js";
import { numbersOf, requireTensor, type VerifyCase } from "../verify-case.js";

const TOLERANCE = 1e-5;

/** `expect.out64.MASK.SINK` and `expect.row_sum64.MASK.SINK`, for every mask and sink that the file has. */
export const runSinkLogits: Mechanism = async (ctx, testCase, buffers) => {
  const compared: ComparedOutput[] = [];
  for (const name of testCase.tensors.keys()) {
    const found = /^expect\.(out64|row_sum64)\.(\w+)\.(\w+)$/.exec(name);
    if (!found) continue;
    const [, kind, mask, sink] = found as unknown as [string, string, string, string];
    const options = { causal: true, ...maskOptions(mask, testCase), ...sinkOptions(sink, testCase) };
    compared.push(await run(ctx, testCase, buffers, { name, options, sums: kind === "row_sum64" }));
  }
  return compared;
};

/** A row's sum is what it makes of values that are all 1. */
async function run(
  ctx: AttentionContext,
  testCase: VerifyCase,
  buffers: CaseBuffers,
  { name, options, sums }: { name: string; options: SoftmaxCallOptions; sums: boolean },
): Promise<ComparedOutput> {
  const [q, k, v] = ["q", "k", "v"].map((part) => inputView(testCase, buffers, `input.${part}`)) as [
    TensorView,
    TensorView,
    TensorView,
  ];
  const ones = (): TensorView => {
    const [batch, tokens, heads] = v.shape;
    const count = batch * tokens * heads;
    return {
      buffer: buffers.upload(new Float32Array(count).fill(1)),
      ...heldByHeads(name, { dtype: "F32", shape: [batch, heads, tokens], data: new Float32Array() }),
    };
  };
  const { view, expected } = expectedOutput(name, testCase, buffers)!;
  await softmaxAttention(ctx, q, k, sums ? ones() : v, { ...options, out: view });
  return { name, actual: await ctx.read(view), expected, tolerance: TOLERANCE };
}

function maskOptions(mask: string, { params }: VerifyCase): SoftmaxCallOptions {
  const { window, kept_first: firstKeys } = params as { window: number; kept_first: number };
  if (mask === "causal") return {};
  if (/^window\d+$/.test(mask)) return { window: { left: window - 1 } };
  if (/^sink\d+_window\d+$/.test(mask)) {
    return {
      maskMod: {
        wgsl: "return j < first_keys || i - j < window;",
        constants: { first_keys: firstKeys, window },
      },
    };
  }
  throw new Error(`mask "${mask}" is not known`);
}

function sinkOptions(sink: string, testCase: VerifyCase): SoftmaxCallOptions {
  const logits = Array.from(numbersOf(requireTensor(testCase, "input.sink_logit")));
  if (sink === "plain") return {};
  if (sink === "off_by_one") return { sinkLogits: logits.map(() => 0) };
  if (sink === "sink_logit") return { sinkLogits: logits };
  throw new Error(`sink "${sink}" is not known`);
}
