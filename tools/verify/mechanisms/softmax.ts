import type { Shape4 } from "webgpu-attention";
import { type SoftmaxCallOptions, softmaxAttention } from "webgpu-attention/softmax";
import type { CaseBuffers } from "../case-buffers.js";
import { expectedOutput, inputView } from "../case-tensors.js";
import type { ComparedOutput, Mechanism } from "../mechanism.js";
import { numbersOf, type VerifyCase } from "../verify-case.js";

const TOLERANCE = 1e-5;
/** Scores of hundreds: float32 itself is off by 2e-5 there. */
const TOLERANCE_LARGE_LOGITS = 5e-5;

const runSoftmax: Mechanism = async (ctx, testCase, buffers) => {
  const { layout: order = "BHND" } = testCase.params;
  if (order !== "BHND") throw new Error(`params.layout is ${JSON.stringify(order)}, expected "BHND"`);
  const input = (name: string) => inputView(testCase, buffers, name);
  const out = expectedOutput("out", testCase, buffers);
  if (!out) throw new Error('tensor "out" is missing');
  const lse = expectedOutput("lse", testCase, buffers);

  const options = { ...optionsOf(testCase, buffers), out: out.view, ...(lse && { lse: lse.view }) };
  await softmaxAttention(ctx, input("q"), input("k"), input("v"), options);

  const tolerance = testCase.name.includes("large_logits") ? TOLERANCE_LARGE_LOGITS : TOLERANCE;
  const compared: ComparedOutput[] = [];
  for (const { name, view, expected } of lse ? [out, lse] : [out]) {
    compared.push({ name, tolerance, expected, actual: await ctx.read(view) });
  }
  return compared;
};

export default runSoftmax;

/**
 * The case's options in the words of `softmaxAttention`. An option that the case does not use is absent, not undefined:
 * the library refuses by name what it does not know, and such a case is skipped.
 */
function optionsOf(testCase: VerifyCase, buffers: CaseBuffers): SoftmaxCallOptions {
  const { params, tensors } = testCase;
  const values = (name: string): number[] | undefined => {
    const tensor = tensors.get(name);
    return tensor && Array.from(numbersOf(tensor));
  };
  const bias = tensors.get("bias");
  const window = present({ left: params.wl, right: params.wr });
  const options = present({
    causal: params.causal,
    queryOffset: params.off,
    scale: params.scale,
    softcap: params.softcap,
    window: Object.keys(window).length > 0 ? window : undefined,
    alibiSlopes: values("slopes"),
    bias: bias && {
      buffer: buffers.upload(numbersOf(bias)),
      dtype: "f32",
      shape: fourSizes("bias", bias.shape),
    },
    keyMask: values("key_mask")?.map((value) => (value === 0 ? 0 : 1)),
    sinkLogits: values("sinks"),
  });
  return options as SoftmaxCallOptions;
}

function present(options: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(options).filter(([, value]) => value !== undefined && value !== null),
  );
}

/** Sizes of a tensor that broadcasts to [B, H, Nq, Nk]; leading axes may be left out, as in numpy. */
function fourSizes(name: string, shape: readonly number[]): Shape4 {
  if (shape.length > 4) throw new Error(`tensor "${name}" has shape [${shape}], expected at most four axes`);
  const [b, h, q, k] = [...Array<number>(4 - shape.length).fill(1), ...shape];
  return [b!, h!, q!, k!];
}
