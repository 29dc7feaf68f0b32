import { planAttentionShift } from "../../kernels/_calibration/shift/index.js";
import { planShiftedAttention } from "../../kernels/_calibration/shift/shifted-attention.js";
import type { HeadShifts, KeyShift } from "../../kernels/_calibration/shift/types.js";
import { makeCaseInputs, rounded, type SoftmaxCaseInputs } from "../../kernels/softmax/case-inputs.js";
import { type SoftmaxCase, TOLERANCE_F16, TOLERANCE_F32 } from "../../kernels/softmax/cases.js";
import { withHiddenNaN } from "../../kernels/softmax/check-case.js";
import { planSoftmaxAttention, type SoftmaxOptions } from "../../kernels/softmax/index.js";
import { type SoftmaxReferenceInputs, softmaxAttentionReference } from "../../kernels/softmax/reference.js";
import type { AttentionContext } from "../../src/dispatch/context.js";
import { byHeadLayout } from "../../src/dispatch/layout.js";
import type { TensorView } from "../../src/dispatch/tensor-view.js";
import { type AttentionMap, attend, mapOfWeights } from "../../src/hooks/reference/attention-map.js";
import { type DenseTensor, headRows, setHeadRows } from "../../src/hooks/reference/dense-tensor.js";
import { positionOf } from "../../src/hooks/reference/mask.js";
import { receivedMean } from "../../src/hooks/reference/received-statistics.js";
import { shifted } from "../../src/hooks/reference/shift.js";
import { sinksOf } from "../../src/hooks/reference/sinks.js";
import { difference } from "./compare.js";
import { optionsInBuffers } from "./option-buffers.js";
import { type Placement, placer } from "./placement.js";
import { normalArray, randomSource } from "./random.js";

/** A softmax problem and shifts on some of its heads. */
export interface ShiftCase {
  readonly name: string;
  readonly problem: SoftmaxCase;
  readonly heads: HeadShifts;
  /** Channels of hidden states, and tokens that are huge in channel 1. */
  readonly hidden?: {
    readonly channels: number;
    readonly huge: readonly number[];
    readonly dtype?: "f32" | "f16";
  };
  /** The application's WGSL, and the same for the reference. */
  readonly mods?: [
    Pick<SoftmaxOptions, "scoreMod" | "maskMod">,
    Pick<SoftmaxReferenceInputs, "scoreMod" | "maskMod">,
  ];
  /** Where tensors lie in their buffers. Default dense. */
  readonly placements?: Partial<Record<"q" | "k" | "v" | "out" | "lse" | "bias", Placement>>;
  /** Whether lengths, masks and sink logits are given as GPU buffers. Default false. */
  readonly buffers?: boolean;
  /** Makes some keys popular, so that they are sinks: added to every channel of the key along the mean query. */
  readonly popular?: readonly number[];
  readonly seed?: number;
}

export interface ShiftErrors {
  /** Relative to the largest reference value. */
  readonly out: number;
  readonly tolerance: number;
  /** Rows that the reference shifts, and that are not what softmax attention gives. */
  readonly shifted: number;
  readonly changed: number;
  /** Of the latter, those in heads that have no sinks. */
  readonly changedWithoutSinks: number;
  /** Whether rows attend to parts of their keys, which are merged. */
  readonly merged: boolean;
}

/** Pattern of every head, in float64: attention to values that are unit vectors. */
export function patterns(
  { problem, mods }: Pick<ShiftCase, "problem" | "mods">,
  made: Pick<SoftmaxCaseInputs, "q" | "k" | "bias" | "options">,
): AttentionMap[][] {
  const { batches, tokensQ, tokensK, heads, kvHeads } = problem;
  const { q, k, bias, options } = made;
  const unit = new Float64Array(batches * tokensK * kvHeads * tokensK);
  for (let row = 0; row < batches * tokensK * kvHeads; row++)
    unit[row * tokensK + (Math.floor(row / kvHeads) % tokensK)] = 1;
  const { out } = softmaxAttentionReference({
    q,
    k,
    v: { data: unit, shape: [batches, tokensK, kvHeads, tokensK] },
    ...options,
    ...(bias && { bias }),
    ...mods?.[1],
  });
  const all: DenseTensor = { data: out, shape: [batches, tokensQ, heads, tokensK] };
  return Array.from({ length: batches }, (_, b) => {
    const offset = positionOf(options, tokensK, tokensQ, b, 0);
    return Array.from({ length: heads }, (_, h) => {
      const weights = headRows(all, b, h).flatMap((row) => [...row]);
      return mapOfWeights(weights, tokensQ, offset);
    });
  });
}

export function shiftOf(heads: HeadShifts, b: number, h: number): KeyShift | undefined {
  const own = Array.isArray(heads) ? heads[b] : heads;
  return (own as ReadonlyMap<number, KeyShift>).get(h);
}

/**
 * Runs a case and compares with the float64 reference on inputs rounded to their storage.
 *
 * @param how shifts after softmax attention, given what keys receive; or both in one plan
 */
export async function runShift(
  ctx: AttentionContext,
  given: ShiftCase,
  how: "after" | "within" = "after",
): Promise<ShiftErrors> {
  const { problem, heads, hidden, mods } = given;
  const { batches, tokensQ, tokensK, valueDim, dtype, kvDtype } = problem;
  const random = randomSource(given.seed ?? 1);
  const made = makeCaseInputs(problem, () => normalArray(1, random)[0]!);
  for (const key of given.popular ?? []) makePopular(made, problem, key);
  const dense = { q: rounded(made.q, dtype), k: rounded(made.k, kvDtype), v: rounded(made.v, kvDtype) };
  const states = hidden && hiddenStates(hidden, batches, tokensK, random);
  const wanted = shiftReference(given, { ...made, ...dense }, states);

  const outShape = [batches, tokensQ, problem.heads, valueDim] as const;
  const place = placer(ctx, given.placements);
  const tensors = {
    q: place("q", dense.q.shape, dense.q.data, dtype),
    k: place("k", dense.k.shape, withHiddenNaN(dense.k, made.options), kvDtype),
    v: place("v", dense.v.shape, withHiddenNaN(dense.v, made.options), kvDtype),
    ...(made.bias && { bias: place("bias", made.bias.shape, made.bias.data) }),
    out: place("out", outShape, undefined, dtype),
    lse: place("lse", [batches, tokensQ, problem.heads, 1]),
  };
  const received: TensorView = {
    ...byHeadLayout(batches, tokensK, problem.heads),
    buffer: ctx.fromArray(wanted.received, [1, 1, 1, wanted.received.length]).buffer,
  };
  const hiddenView = states && ctx.fromArray(states.data, states.shape, hidden!.dtype);
  const looks = hiddenView && { hidden: hiddenView };
  const created = Object.values({ ...tensors, received, ...looks }).map(({ buffer }) => buffer);
  const options = given.buffers ? optionsInBuffers(ctx, tokensK, made.options, created) : made.options;
  const attention = { ...options, ...mods?.[0], ...tensors };
  const plan = await planSoftmaxAttention(ctx, attention);
  let merged = false;
  try {
    await ctx.submitChecked((encoder) => plan.record(encoder, tensors));
    const plain = await ctx.read(tensors.out);
    const plainLse = await ctx.read(tensors.lse);
    if (how === "after") {
      const shift = await planAttentionShift(ctx, { ...attention, heads, received, ...looks });
      await ctx.submitChecked((encoder) => shift.record(encoder, { ...tensors, received, ...looks }));
      shift.destroy();
    } else {
      const nan = (view: TensorView) => {
        const words = new Uint32Array(view.buffer.size / 4).fill(0x7fc07e00);
        ctx.device.queue.writeBuffer(view.buffer, 0, words);
      };
      nan(tensors.out);
      nan(tensors.lse);
      const both = await planShiftedAttention(ctx, { ...attention, heads, ...looks });
      merged = both.passes.some(({ name }) => name === "shift/merge_rows");
      await ctx.submitChecked((encoder) => both.record(encoder, { ...tensors, ...looks }));
      both.destroy();
      const lse = difference(await ctx.read(tensors.lse), plainLse).maxRelative;
      if (!(lse < 1e-5)) throw new Error(`lse: error ${lse}`);
    }
    const out = await ctx.read(tensors.out);
    const changed = differentRows(plain, out, valueDim);
    return {
      out: difference(out, wanted.out).maxRelative,
      tolerance: dtype === "f16" ? TOLERANCE_F16 : TOLERANCE_F32,
      shifted: wanted.shifted,
      changed: changed.length,
      merged,
      changedWithoutSinks: changed.filter((row) => {
        const [b, h] = [Math.floor(row / (tokensQ * problem.heads)), row % problem.heads];
        return wanted.sinks[b]![h]!.length === 0;
      }).length,
    };
  } finally {
    plan.destroy();
    for (const buffer of created) buffer.destroy();
  }
}

/** What a case should give, in float64. */
function shiftReference(
  given: ShiftCase,
  made: Parameters<typeof patterns>[1] & Pick<SoftmaxCaseInputs, "v">,
  states: { readonly data: Float32Array; readonly shape: readonly number[] } | undefined,
) {
  const { problem, heads } = given;
  const { batches, tokensQ, tokensK, valueDim } = problem;
  const outShape = [batches, tokensQ, problem.heads, valueDim] as const;
  const out = new Float64Array(outShape.reduce((a, b) => a * b));
  const received = new Float32Array(batches * problem.heads * tokensK);
  let rowsShifted = 0;
  const sinks = patterns(given, made).map((maps, b) => {
    const keys = (made.options.keyLengths?.[b] ?? tokensK) - (made.options.keyStarts?.[b] ?? 0);
    return maps.map((map, h) => {
      received.set(receivedMean(map), (b * problem.heads + h) * tokensK);
      const shift = shiftOf(heads, b, h);
      const channels = states?.shape[3] ?? 0;
      const size = tokensK * channels;
      const own = states && { data: states.data.slice(b * size, (b + 1) * size), channels };
      const operation = shift && ({ kind: "shift", ...shift } as const);
      const found = operation ? sinksOf(map, operation, own, keys) : [];
      const after = operation ? shifted(map, operation, found) : map;
      rowsShifted += differentRows(map.weights, after.weights, tokensK).length;
      const kvHead = Math.floor(h / (problem.heads / problem.kvHeads));
      setHeadRows(out, outShape, attend(after, headRows(made.v, b, kvHead)), b, h);
      return found;
    });
  });
  return { out, received, sinks, shifted: rowsShifted };
}

function differentRows(a: ArrayLike<number>, b: ArrayLike<number>, width: number): number[] {
  const rows: number[] = [];
  for (let row = 0; row < a.length / width; row++) {
    for (let d = 0; d < width; d++) {
      if (Object.is(a[row * width + d], b[row * width + d])) continue;
      rows.push(row);
      break;
    }
  }
  return rows;
}

/** Turns a key of every head towards the mean of the queries, so that all like it. */
function makePopular(
  { q, k }: SoftmaxCaseInputs,
  { batches, tokensQ, tokensK, heads, kvHeads, headDim }: SoftmaxCase,
  key: number,
): void {
  for (let b = 0; b < batches; b++)
    for (let h = 0; h < kvHeads; h++)
      for (let d = 0; d < headDim; d++) {
        let sum = 0;
        for (let i = 0; i < tokensQ; i++)
          for (let g = 0; g < heads / kvHeads; g++)
            sum += q.data[((b * tokensQ + i) * heads + (h * heads) / kvHeads + g) * headDim + d]!;
        k.data[((b * tokensK + key) * kvHeads + h) * headDim + d]! += (6 * sum) / tokensQ;
      }
}

function hiddenStates(
  { channels, huge, dtype = "f32" }: NonNullable<ShiftCase["hidden"]>,
  batches: number,
  tokens: number,
  random: () => number,
) {
  const data = normalArray(batches * tokens * channels, random);
  for (let b = 0; b < batches; b++) for (const token of huge) data[(b * tokens + token) * channels + 1] = -90;
  return rounded({ data, shape: [batches, tokens, 1, channels] }, dtype);
}
