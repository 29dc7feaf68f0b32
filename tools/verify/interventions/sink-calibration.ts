import type { AttentionContext, TensorView } from "webgpu-attention";
import {
  attentionStatistics,
  type HeadShifts,
  type KeyShift,
  planAttentionShift,
  planShiftedAttention,
  type SinkLists,
  shiftedAttention,
} from "webgpu-attention/calibration";
import { attentionCalibration, visualRedistribution } from "webgpu-attention/hooks";
import { softmaxAttention } from "webgpu-attention/softmax";
import type { CaseBuffers } from "../case-buffers.js";
import { heldByHeads, inputView } from "../case-tensors.js";
import type { ComparedOutput, Mechanism } from "../mechanism.js";
import { numbersOf, requireTensor, type VerifyCase } from "../verify-case.js";
import { wordsOf } from "./read-words.js";

const TOLERANCE = 1e-5;
/** For whole numbers. */
const EXACT = 1e-9;

type Tensors = Record<"q" | "k" | "v", TensorView>;
type Received = Record<"receivedSum" | "receivedCount" | "receivedMean", TensorView>;

const onAll = (heads: number, shift: KeyShift): HeadShifts =>
  new Map(Array.from({ length: heads }, (_, head) => [head, shift]));

/** Tokens [begin, end) of a view. */
function tokensOf(view: TensorView, begin: number, end: number): TensorView {
  const [batch, , heads, dim] = view.shape;
  return { ...view, shape: [batch, end - begin, heads, dim], offset: begin * view.strides![1] };
}

/** What memory holds of a view that is dense but for its order of axes. */
async function memoryOf(ctx: AttentionContext, { buffer, shape }: TensorView): Promise<number[]> {
  return Array.from(
    await ctx.read({ buffer, dtype: "f32", shape: [1, 1, 1, shape.reduce((a, b) => a * b)] }),
  );
}

/** [heads, keys] 1 for a sink. */
async function sinkFlags(
  ctx: AttentionContext,
  { buffer, keys }: SinkLists,
  heads: number,
  width = keys,
): Promise<number[]> {
  const words = await wordsOf(ctx, buffer);
  const stride = 1 + keys + Math.ceil(keys / 32);
  return Array.from({ length: heads }, (_, head) => {
    const sinks = words.subarray(head * stride + 1, head * stride + 1 + words[head * stride]!);
    return Array.from({ length: width }, (_, key) => (sinks.includes(key) ? 1 : 0));
  }).flat();
}

interface Shifted {
  readonly out: number[];
  readonly flags: number[];
  readonly received: number[];
  readonly tensors: Received;
  readonly sinks: SinkLists;
}

/** Attention of some tokens, what keys receive, and the shift that follows. */
async function calibrated(
  ctx: AttentionContext,
  { q, k, v }: Tensors,
  shift: KeyShift,
  before: {
    readonly sinks?: SinkLists;
    readonly carried?: { sum: TensorView; count: TensorView };
    readonly width?: number;
  } = {},
): Promise<Shifted> {
  const { sinks, carried, width } = before;
  const heads = q.shape[2];
  const { out, lse } = await softmaxAttention(ctx, q, k, v, { causal: true, lse: true });
  const received = (await attentionStatistics(ctx, q, k, lse!, {
    causal: true,
    statistics: { receivedSum: true, receivedCount: true, receivedMean: true },
    ...(carried && { carried }),
  })) as Received;
  const running = "received" in shift.sinks && shift.sinks.update === "running";
  const tensors = { q, k, v, out, lse: lse! };
  const looks = running || !sinks;
  const plan = await planAttentionShift(ctx, {
    ...tensors,
    causal: true,
    heads: onAll(heads, shift),
    ...(sinks && { sinks }),
  });
  const encoder = ctx.device.createCommandEncoder();
  plan.record(encoder, { ...tensors, ...(looks && { received: received.receivedMean }) });
  ctx.device.queue.submit([encoder.finish()]);
  const result = {
    out: Array.from(await ctx.read(out)),
    flags: await sinkFlags(ctx, plan.sinks, heads, width),
    received: await memoryOf(ctx, received.receivedMean),
    tensors: received,
    sinks: plan.sinks,
  };
  out.buffer.destroy();
  lse!.buffer.destroy();
  return result;
}

/** Values of [tokens, heads, dim] as [heads, tokens, dim]. */
function byHeads(values: readonly number[], tokens: number, heads: number): number[] {
  const dim = values.length / (tokens * heads);
  return Array.from({ length: values.length }, (_, index) => {
    const [head, token, d] = [
      Math.floor(index / (tokens * dim)),
      Math.floor(index / dim) % tokens,
      index % dim,
    ];
    return values[(token * heads + head) * dim + d]!;
  });
}

/** `expect.NAME.*` for the thresholds `absX` and `alphaX_over_n`: a prefill, then one token after another. */
export const runActToolkit: Mechanism = async (ctx, testCase, buffers) => {
  const { H, N, prefill, beta } = testCase.params as Record<"H" | "N" | "prefill" | "beta", number>;
  const whole = Object.fromEntries(
    (["q", "k", "v"] as const).map((name) => [name, inputView(testCase, buffers, `input.${name}`)]),
  ) as unknown as Tensors;
  const part = (firstRow: number, tokens: number): Tensors => ({
    q: tokensOf(whole.q, firstRow, tokens),
    k: tokensOf(whole.k, 0, tokens),
    v: tokensOf(whole.v, 0, tokens),
  });
  const compared: ComparedOutput[] = [];
  const compare = (name: string, actual: ArrayLike<number>, tolerance = TOLERANCE) => {
    if (!testCase.tensors.has(name)) return;
    compared.push({ name, actual, expected: numbersOf(requireTensor(testCase, name)), tolerance });
  };
  const names = [...testCase.tensors.keys()].flatMap(
    (name) => /^expect\.(.+)\.prefill_out64$/.exec(name)?.[1] ?? [],
  );
  for (const name of names) {
    const threshold = thresholdOf(name);
    const shift = attentionCalibration({ ...threshold, beta });
    const first = await calibrated(ctx, part(0, prefill), shift);
    compare(`expect.${name}.prefill_received_mean64`, first.received);
    compare(`expect.${name}.prefill_sinks`, first.flags, EXACT);
    compare(`expect.${name}.prefill_out64`, byHeads(first.out, prefill, H));
    const others: KeyShift = { ...shift, recipients: { range: [1, N] } };
    const without0 = await calibrated(ctx, part(0, prefill), others);
    compare(`expect.${name}.prefill_out64_token0_not_recipient`, byHeads(without0.out, prefill, H));

    for (const update of ["prefill", "running"] as const) {
      const steps: Shifted[] = [];
      let sums = first.tensors;
      for (let position = prefill; position < N; position++) {
        const keys = position + 1;
        const carried = {
          sum: await widened(ctx, buffers, sums.receivedSum, H, keys),
          count: await widened(ctx, buffers, sums.receivedCount, H, keys),
        };
        const step = { ...attentionCalibration({ ...threshold, beta, update }) };
        steps.push(
          await calibrated(ctx, part(position, keys), step, { sinks: first.sinks, carried, width: N }),
        );
        sums = steps.at(-1)!.tensors;
      }
      const suffix = update === "prefill" ? "frozen" : "running";
      compare(
        `expect.${name}.decode_out64_${suffix}`,
        steps.flatMap(({ out }) => out),
      );
      if (update === "prefill") continue;
      compare(
        `expect.${name}.decode_sinks_running`,
        steps.flatMap(({ flags }) => flags),
        EXACT,
      );
      const means = `expect.${name}.decode_received_mean64`;
      const expected = numbersOf(requireTensor(testCase, means));
      // The file leaves out the newest key, which only its own query has seen.
      const actual = Array.from(expected, (value, index) => {
        const [step, head, key] = [Math.floor(index / (H * N)), Math.floor(index / N) % H, index % N];
        return key < prefill + step ? steps[step]!.received[head * (prefill + step + 1) + key]! : value;
      });
      compare(means, actual);
    }
  }
  return compared;
};

function thresholdOf(name: string): { theta: number } | { alpha: number } {
  const [, theta] = /^abs([\d.]+)$/.exec(name) ?? [];
  if (theta) return { theta: Number(theta) };
  const [, alpha] = /^alpha([\d.]+)_over_n$/.exec(name) ?? [];
  if (alpha) return { alpha: Number(alpha) };
  throw new Error(`threshold "${name}" is not known`);
}

/** What keys have received, with room for more keys, which have received nothing. */
async function widened(
  ctx: AttentionContext,
  buffers: CaseBuffers,
  view: TensorView,
  heads: number,
  keys: number,
): Promise<TensorView> {
  const values = await memoryOf(ctx, view);
  const before = view.shape[1];
  const data = Array.from({ length: heads * keys }, (_, index) => {
    const [head, key] = [Math.floor(index / keys), index % keys];
    return key < before ? values[head * before + key]! : 0;
  });
  return {
    buffer: buffers.upload(data),
    dtype: "f32",
    shape: [1, keys, heads, 1],
    strides: [heads * keys, 1, keys, 1],
  };
}

interface VarParams {
  readonly D: number;
  readonly H: number;
  readonly image_begin: number;
  readonly image_len: number;
  readonly p: number;
  readonly rho: number | readonly number[];
  readonly summ: number;
  readonly tau: number;
  readonly sink_dims: readonly number[];
}

/** A pattern as a bias on scores that are all 0: its logarithm. */
function patternInputs(testCase: VerifyCase, buffers: CaseBuffers, name: string) {
  const { shape, data } = requireTensor(testCase, name);
  const [batches, heads, tokensQ, tokensK] = shape as [number, number, number, number];
  const log = Array.from(data as Float32Array, (weight) => (weight > 0 ? Math.log(weight) : -Infinity));
  const zeros = (tokens: number): TensorView => ({
    buffer: buffers.upload(new Float32Array(batches * tokens * heads)),
    dtype: "f32",
    shape: [batches, tokens, heads, 1],
  });
  const bias: TensorView = {
    buffer: buffers.upload(log),
    dtype: "f32",
    shape: [batches, heads, tokensQ, tokensK],
  };
  return { q: zeros(tokensQ), k: zeros(tokensK), bias, shape: [batches, heads, tokensQ, tokensK] as const };
}

/** Values that are unit vectors: what attention makes of them is its pattern. */
function unitValues(buffers: CaseBuffers, tokens: number, heads: number): TensorView {
  const data = new Float32Array(tokens * heads * tokens);
  for (let row = 0; row < tokens * heads; row++) data[row * tokens + Math.floor(row / heads)] = 1;
  return { buffer: buffers.upload(data), dtype: "f32", shape: [1, tokens, heads, tokens] };
}

/** All of `expect.weights`, `expect.out64...`, `expect.selected...` and `expect.sinks` that a file has. */
export const runVar: Mechanism = async (ctx, testCase, buffers) => {
  const { D, H, image_begin, image_len, p, rho, summ, tau, sink_dims } =
    testCase.params as unknown as VarParams;
  const image = [image_begin, image_begin + image_len] as const;
  const isAuthors = testCase.name.endsWith("_author");
  const compared: ComparedOutput[] = [];
  const compare = (name: string, actual: ArrayLike<number>, tolerance = TOLERANCE) => {
    if (!testCase.tensors.has(name)) return;
    compared.push({ name, actual, expected: numbersOf(requireTensor(testCase, name)), tolerance });
  };
  const states = testCase.tensors.get("input.hidden");
  const hidden: TensorView | undefined = states && {
    buffer: buffers.upload(numbersOf(states)),
    dtype: "f32",
    shape: [1, states.shape[1]!, 1, D],
  };
  const listed = testCase.tensors.get("input.sinks");
  const sinks = listed ? { keys: Array.from(numbersOf(listed)) } : { hidden: { dims: sink_dims, tau } };
  const redistribution = (share: number): KeyShift =>
    visualRedistribution({
      image,
      p,
      rho: share,
      leastImageMass: summ,
      sinks,
      variant: isAuthors ? "authors" : "paper",
    });

  const run = async (given: ReturnType<typeof patternInputs>, v: TensorView, shift: KeyShift) => {
    const heads = onAll(H, shift);
    const looks = "hidden" in shift.sinks && hidden;
    const { q, k, bias } = given;
    const { out } = await shiftedAttention(ctx, q, k, v, {
      bias,
      heads,
      scale: 1,
      ...(looks && { hidden: looks }),
    });
    const values = byHeads(Array.from(await ctx.read(out)), q.shape[1], H);
    out.buffer.destroy();
    return values;
  };
  const given = patternInputs(testCase, buffers, "input.weights");
  const [, , tokensQ, tokensK] = given.shape;
  const v = {
    buffer: buffers.upload(numbersOf(requireTensor(testCase, "input.v"))),
    ...heldByHeads("input.v", requireTensor(testCase, "input.v")),
  };
  const before = Array.from(numbersOf(requireTensor(testCase, "input.weights")));
  for (const share of [rho].flat()) {
    const suffix = Array.isArray(rho) ? `_rho${share}` : "";
    const shift = redistribution(share);
    compare(`expect.out64${suffix}`, await run(given, v, shift));
    const weights = await run(given, unitValues(buffers, tokensK, H), shift);
    compare("expect.weights", weights);
    compare(`expect.selected${suffix}`, changedRows(before, weights, tokensK), EXACT);
  }
  if (testCase.tensors.has("expect.sinks")) {
    const plan = await planShiftedAttention(ctx, {
      q: given.q,
      k: given.k,
      bias: given.bias,
      v,
      scale: 1,
      hidden: hidden!,
      heads: onAll(H, redistribution(0.5)),
    });
    const out = ctx.empty([1, tokensQ, H, v.shape[3]]);
    const encoder = ctx.device.createCommandEncoder();
    plan.record(encoder, { q: given.q, k: given.k, v, bias: given.bias, hidden: hidden!, out });
    ctx.device.queue.submit([encoder.finish()]);
    const words = await wordsOf(ctx, plan.sinks.buffer);
    const expected = Array.from(numbersOf(requireTensor(testCase, "expect.sinks"))).sort((a, b) => a - b);
    compared.push({
      name: "expect.sinks",
      actual: Array.from(words.subarray(1, 1 + words[0]!)),
      expected,
      tolerance: EXACT,
    });
    plan.destroy();
    out.buffer.destroy();
  }
  if (testCase.tensors.has("input.text_only_sinks")) {
    const prefill = patternInputs(testCase, buffers, "input.prefill_weights");
    const keys = Array.from(numbersOf(requireTensor(testCase, "input.text_only_sinks")));
    const shift = { ...redistribution([rho].flat()[0]!), sinks: { keys } };
    const weights = await run(prefill, unitValues(buffers, prefill.shape[3], H), shift);
    compare("expect.prefill_weights_text_only_sinks", weights);
  }
  return compared;
};

/** 1 for each row in which any weight is another. */
function changedRows(before: readonly number[], after: readonly number[], width: number): number[] {
  return Array.from({ length: before.length / width }, (_, row) => {
    const at = (values: readonly number[]) => values.slice(row * width, (row + 1) * width);
    const [a, b] = [at(before), at(after)];
    return a.some((weight, key) => Math.abs(weight - b[key]!) > TOLERANCE) ? 1 : 0;
  });
}
