import type { AttentionContext } from "../../src/dispatch/context.js";
import { asStored } from "../../src/dispatch/float16.js";
import { readWords } from "../../src/dispatch/read-back.js";
import { elementCount, type Shape4, type TensorView } from "../../src/dispatch/tensor-view.js";
import { difference } from "../../test/support/compare.js";
import { normalArray, randomSource } from "../../test/support/random.js";
import type { SalePlan } from "./attention-plan.js";
import { type SaleCase, shapesOf, TOLERANCE_F16, TOLERANCE_F32 } from "./cases.js";
import { planSaleAttention } from "./index.js";
import type { SaleShape } from "./problem.js";
import { type DenseTensor, keptAttention, type SaleHead, saleReference } from "./reference.js";
import { certainMask } from "./rounding.js";

export interface Dense extends DenseTensor {
  readonly data: Float32Array<ArrayBuffer>;
}

/** q, k and v of a case as their storage holds them. */
export function makeCaseInputs(problem: SaleCase, seed = 1): Record<"q" | "k" | "v", Dense> {
  const { dtype, spread, mean, constant, heads, kvHeads, headDim } = problem;
  const random = randomSource(seed);
  const make = (shape: Shape4, factor: number, offset: number): Dense => {
    const data = normalArray(elementCount(shape), random).map((value) => value * factor + offset);
    return { data: asStored(data, dtype), shape };
  };
  const { q, k, v } = shapesOf(problem);
  const made = { q: make(q, spread, mean), k: make(k, spread, mean), v: make(v, 1, 0) };
  const repeat = ({ data, shape }: Dense, width: number): Dense => {
    return { data: data.map((_, index) => Math.round(8 * data[index % width]!) / 8), shape };
  };
  if (constant === "queries") return { ...made, q: repeat(made.q, heads * headDim) };
  if (constant === "keys") return { ...made, k: repeat(made.k, kvHeads * headDim) };
  return made;
}

export interface CheckedCase {
  readonly error: number;
  readonly tolerance: number;
  /** Blocks whose choice rounding leaves open, and blocks that the candidates are. */
  readonly open: number;
  readonly candidates: number;
  readonly kept: number;
}

/**
 * Checks a plan that has run: each quantity of the selection against the float64 reference, within what f32 may round; the mask,
 * block by block, wherever rounding leaves no choice; and the output against the reference on the very mask.
 *
 * @throws Error that names what differs
 */
export async function checkRun(
  ctx: AttentionContext,
  problem: SaleCase,
  inputs: Record<"q" | "k" | "v", Dense>,
  plan: Pick<SalePlan, "blockMask" | "readSelection">,
  out: ArrayLike<number>,
): Promise<CheckedCase> {
  const { tokens, heads, kvHeads, headDim, valueDim, blockK, thresholds, dtype } = problem;
  const { scale = 1 / Math.sqrt(headDim) } = problem;
  const given = { ...inputs, ...problem, scale };
  const reference = saleReference(given);
  const selection = await plan.readSelection();
  const [queryBlocks, keyBlocks] = [Math.ceil(tokens / 64), Math.ceil(tokens / blockK)];
  const sizes = { batches: problem.batches, heads, queryBlocks, keyBlocks };
  const mask = await readLists(ctx, plan.blockMask.buffer, sizes);
  const blocks = queryBlocks * keyBlocks;
  let [open, candidates, kept, error] = [0, 0, 0, 0];
  const largest = largestSize(reference);
  for (const [index, head] of reference.entries()) {
    const [b, h] = [Math.floor(index / heads), index % heads];
    const kvIndex = b * kvHeads + Math.floor(h / (heads / kvHeads));
    expectIntegers("q", head.q, selection.qPacked, index, tokens, headDim);
    expectIntegers("k", head.k, selection.kPacked, kvIndex, tokens, headDim);
    const part = (values: Float32Array, of = index) => values.subarray(of * tokens, (of + 1) * tokens);
    expectClose("scales of q", part(selection.qScales), head.q.scales);
    expectClose("scales of k", part(selection.kScales, kvIndex), head.k.scales);
    // Nobody asks for those of a dense head.
    if (thresholds[h]! >= 1e-5) {
      expectClose("maxima", part(selection.maxima), head.max);
      expectClose("sums", part(selection.sums), head.sum);
    }

    const own = mask.subarray(index * blocks, (index + 1) * blocks);
    const certain = certainMask(head, inputs.q, { batch: b, head: h }, { blockK, scale });
    for (const [place, wanted] of certain.entries()) {
      if (wanted !== 2 && wanted !== own[place])
        throw new Error(
          `head ${index}, block ${place} of [${queryBlocks}, ${keyBlocks}]: ${own[place]}, expected ${wanted}`,
        );
      if (wanted === 2) open++;
      if (head.selectable[place]) [candidates, kept] = [candidates + 1, kept + own[place]!];
    }

    const values = Float64Array.from({ length: tokens * valueDim }, (_, i) => {
      return out[((b * tokens + Math.floor(i / valueDim)) * heads + h) * valueDim + (i % valueDim)]!;
    });
    const expected = keptAttention(given, b, h, own);
    error = Math.max(error, difference(values, expected).maxAbsolute / largest);
  }
  return { error, tolerance: dtype === "f16" ? TOLERANCE_F16 : TOLERANCE_F32, open, candidates, kept };
}

function largestSize(reference: readonly SaleHead[]): number {
  return reference.reduce((most, { out }) => out.reduce((a, b) => Math.max(a, Math.abs(b)), most), 0) || 1;
}

/** The integers, but for values so near a tie that the rounding of mean and difference may decide. */
function expectIntegers(
  name: string,
  { integers, scales, centred }: SaleHead["q"],
  packed: Uint8Array,
  head: number,
  tokens: number,
  dim: number,
): void {
  const bytes = Math.ceil(dim / 2);
  for (const [place, wanted] of integers.entries()) {
    const [t, c] = [Math.floor(place / dim), place % dim];
    const byte = packed[(head * tokens + t) * bytes + (c >> 1)]!;
    const actual = c % 2 ? (byte << 28) >> 28 : (byte << 24) >> 28;
    if (actual === wanted) continue;
    const value = centred[place]! / scales[t]!;
    const tie = Math.abs(Math.abs(value - Math.floor(value)) - 0.5);
    if (!(tie < TIE_ROUNDING && Math.abs(actual - wanted) === 1))
      throw new Error(
        `${name}4 of head ${head}, token ${t}, channel ${c}: ${actual}, expected ${wanted} (${value})`,
      );
  }
}

/** Of a quotient of at most 7 between numbers of an error of some 2^-22 of the largest each. */
const TIE_ROUNDING = 2 ** -18;

function expectClose(name: string, actual: Float32Array, expected: Float64Array): void {
  const { maxRelative } = difference(actual, expected);
  if (!(maxRelative <= 1e-5)) throw new Error(`${name}: error ${maxRelative}`);
}

/** [B, Hq, query blocks, key blocks] 1 = listed; throws unless every list ascends and stays within its row. */
export async function readLists(
  ctx: AttentionContext,
  buffer: GPUBuffer,
  sizes: ListSizes,
): Promise<Uint8Array> {
  const { batches, heads, queryBlocks, keyBlocks } = sizes;
  const words = await readWords(ctx, buffer, buffer.size / 4);
  const mask = new Uint8Array(batches * heads * queryBlocks * keyBlocks);
  for (let row = 0; row < batches * heads * queryBlocks; row++) {
    const [first, count] = [words[2 * row]!, words[2 * row + 1]!];
    let last = -1;
    for (const entry of words.subarray(first, first + count)) {
      const block = entry >> 1;
      if (block <= last || block >= keyBlocks) throw new Error(`list of row ${row}: ${block} after ${last}`);
      mask[row * keyBlocks + block] = 1;
      last = block;
    }
  }
  return mask;
}

type ListSizes = Pick<SaleShape, "batches" | "heads" | "queryBlocks" | "keyBlocks">;

/** Runs a case into an output full of NaN and checks everything about it. */
export async function checkCase(ctx: AttentionContext, problem: SaleCase): Promise<CheckedCase> {
  const { dtype, thresholds, blockK, segment, localWindow, scale } = problem;
  const inputs = makeCaseInputs(problem);
  const shape = shapesOf(problem).out;
  const tensors = {
    q: ctx.fromArray(inputs.q.data, inputs.q.shape, dtype),
    k: ctx.fromArray(inputs.k.data, inputs.k.shape, dtype),
    v: ctx.fromArray(inputs.v.data, inputs.v.shape, dtype),
    out: ctx.fromArray(new Float32Array(elementCount(shape)).fill(Number.NaN), shape, dtype),
  };
  const options = { thresholds, blockK, segment, localWindow, ...(scale !== undefined && { scale }) };
  const plan = await planSaleAttention(ctx, { ...tensors, ...options });
  try {
    await ctx.submitChecked((encoder) => plan.record(encoder, tensors));
    return await checkRun(ctx, problem, inputs, plan, await ctx.read(tensors.out));
  } finally {
    plan.destroy();
    for (const { buffer } of Object.values(tensors) as TensorView[]) buffer.destroy();
  }
}
