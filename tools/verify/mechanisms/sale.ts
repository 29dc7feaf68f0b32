import { type AttentionContext, AttentionError, type TensorView } from "webgpu-attention";
import { calibrateSale, planSaleAttention, type SaleOptions, type SalePlan } from "webgpu-attention/sale";
import { readBlockMask, softmaxAttention } from "webgpu-attention/softmax";
import type { CaseBuffers } from "../case-buffers.js";
import { expectedOutput, inputView } from "../case-tensors.js";
import type { ComparedOutput, Mechanism } from "../mechanism.js";
import { numbersOf, referenceTensor, type VerifyCase } from "../verify-case.js";

const TOLERANCE = 1e-5;

/** Attention with every inner value that the file has, or a calibration. */
const runSale: Mechanism = (ctx, testCase, buffers) => {
  const { two_pass: twoPass = true, block_q: blockQ = 64 } = testCase.params;
  if (!twoPass)
    throw unsupported("two_pass", "true: the threshold is fixed before the first candidate", twoPass);
  if (blockQ !== 64) throw unsupported("block_q", "64", blockQ);
  return testCase.tensors.has("l1_error")
    ? runCalibration(ctx, testCase, buffers)
    : runAttention(ctx, testCase, buffers);
};

export default runSale;

function unsupported(subject: string, expected: string, got: unknown): AttentionError {
  const fix = "The authors' kernels with this setting are not built here.";
  return new AttentionError("unsupported", { subject, expected, got: String(got), fix });
}

/** The case's options in the words of `saleAttention`; what the case leaves out is left out. */
function optionsOf({ params }: VerifyCase): Omit<SaleOptions, "thresholds"> {
  const given = {
    blockK: params.block_k,
    segment: params.block_seg,
    localWindow: params.local_window,
    scale: params.scale,
  };
  return Object.fromEntries(
    Object.entries(given).filter(([, value]) => value !== undefined && value !== null),
  );
}

function inputsOf(testCase: VerifyCase, buffers: CaseBuffers): Record<"q" | "k" | "v", TensorView> {
  const input = (name: string) => inputView(testCase, buffers, name);
  return { q: input("q"), k: input("k"), v: input("v") };
}

function thresholdsOf({ tensors, params }: VerifyCase, heads: number): number[] {
  const tau = tensors.get("tau");
  const given = tau ? numbersOf(tau) : params.tau;
  return typeof given === "number" ? Array<number>(heads).fill(given) : Array.from(given as number[]);
}

async function runAttention(
  ctx: AttentionContext,
  testCase: VerifyCase,
  buffers: CaseBuffers,
): Promise<ComparedOutput[]> {
  const inputs = inputsOf(testCase, buffers);
  const out = expectedOutput("out", testCase, buffers);
  if (!out) throw new Error('tensor "out" is missing');
  const thresholds = thresholdsOf(testCase, inputs.q.shape[2]);
  const plan = await planSaleAttention(ctx, {
    ...inputs,
    ...optionsOf(testCase),
    out: out.view,
    thresholds,
  });
  try {
    await submitted(ctx, plan, { ...inputs, out: out.view });
    const selected = await compareSelection(ctx, testCase, plan, thresholds);
    const { expected, view } = out;
    return [...selected, { name: "out", tolerance: TOLERANCE, expected, actual: await ctx.read(view) }];
  } finally {
    plan.destroy();
  }
}

async function submitted(
  ctx: AttentionContext,
  plan: SalePlan,
  tensors: Parameters<SalePlan["record"]>[1],
): Promise<void> {
  for (const { record } of plan.segments) {
    const encoder = ctx.device.createCommandEncoder();
    record(encoder, tensors);
    ctx.device.queue.submit([encoder.finish()]);
  }
}

/** Masks and integers exactly, the rest by the tolerance. */
async function compareSelection(
  ctx: AttentionContext,
  testCase: VerifyCase,
  plan: SalePlan,
  thresholds: readonly number[],
): Promise<ComparedOutput[]> {
  const selection = await plan.readSelection();
  const kept = (await readBlockMask(ctx, plan.blockMask)).map((state) => (state === 0 ? 0 : 1));
  const [, heads, tokens] = plan.blockMask.shape;
  // A dense head asks for all blocks: what rows would be held against is not computed there.
  const ofSelecting = (all: ArrayLike<number>) =>
    Array.from(all).filter((_, index) => thresholds[Math.floor(index / tokens) % heads]! >= 1e-5);
  const all = (values: ArrayLike<number>) => values;
  const outputs: readonly [name: string, actual: ArrayLike<number>, tolerance: number, part: typeof all][] = [
    ["block_mask", kept, 0, all],
    ["q_int4_packed", selection.qPacked, 0, all],
    ["k_int4_packed", selection.kPacked, 0, all],
    ["q_mean", selection.qMeans, TOLERANCE, all],
    ["k_mean", selection.kMeans, TOLERANCE, all],
    ["q_scale", selection.qScales, TOLERANCE, all],
    ["k_scale", selection.kScales, TOLERANCE, all],
    ["qmk", selection.corrections, TOLERANCE, all],
    ["m_ref", selection.maxima, TOLERANCE, ofSelecting],
    ["l_ref", selection.sums, TOLERANCE, ofSelecting],
    ["thr", selection.limits, TOLERANCE, ofSelecting],
  ];
  return outputs.flatMap(([name, actual, tolerance, part]) => {
    const tensor = referenceTensor(testCase, name);
    return tensor ? [{ name, actual: part(actual), tolerance, expected: part(numbersOf(tensor)) }] : [];
  });
}

/**
 * Errors of f32 outputs that should be the same: a few roundings of each, which is some 1e-3 of the sums over all of a head's outputs
 * that the files hold.
 */
const ERROR_TOLERANCE = 1e-3;

/** The thresholds that the rule comes to, and the error of each candidate. */
async function runCalibration(
  ctx: AttentionContext,
  testCase: VerifyCase,
  buffers: CaseBuffers,
): Promise<ComparedOutput[]> {
  const inputs = inputsOf(testCase, buffers);
  const { q, k, v } = inputs;
  const options = optionsOf(testCase);
  const { tau_start: start, tau_floor: floor, theta: errorBound } = testCase.params as Record<string, number>;
  const found = await calibrateSale(ctx, [inputs], { ...options, start, floor, errorBound });
  const compared = [
    {
      name: "tau",
      actual: Float32Array.from(found.layers[0]!.options.thresholds),
      expected: numbersOf(referenceTensor(testCase, "tau")!),
      tolerance: 1e-7,
    },
  ];
  const candidates = referenceTensor(testCase, "candidates");
  if (!candidates) return compared;
  const [, , heads, width] = [...q.shape.slice(0, 3), v.shape[3]] as [number, number, number, number];
  const { scale } = options;
  const dense = await softmaxAttention(ctx, q, k, v, { causal: true, ...(scale !== undefined && { scale }) });
  const expectedOut = await ctx.read(dense.out);
  dense.out.buffer.destroy();
  const taus = Array.from(numbersOf(candidates));
  const errors = new Float64Array(heads * taus.length);
  for (const [n, tau] of taus.entries()) {
    const out: TensorView = { ...dense.out, buffer: buffers.nan(expectedOut.length) };
    const plan = await planSaleAttention(ctx, { ...inputs, ...options, out, thresholds: tau });
    await submitted(ctx, plan, { ...inputs, out });
    const sparse = await ctx.read(out);
    plan.destroy();
    for (const [i, value] of sparse.entries())
      errors[(Math.floor(i / width) % heads) * taus.length + n]! += Math.abs(value - expectedOut[i]!);
  }
  return [
    ...compared,
    {
      name: "l1_error",
      actual: errors,
      expected: numbersOf(referenceTensor(testCase, "l1_error")!),
      tolerance: ERROR_TOLERANCE,
    },
  ];
}
