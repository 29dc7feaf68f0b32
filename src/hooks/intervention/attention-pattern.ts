import type { AttentionContext, Shape4, TensorLayout, TensorView } from "webgpu-attention";
import { checkPlainRows } from "webgpu-attention/calibration";
import { checkInteger, fail } from "../check.js";
import { type IntervenedCallOptions, intervenedAttention } from "./intervened-attention.js";

/** Keys whose weights one attention gives: the widest heads that there are. */
const PIECE = 256;

export interface PatternOptions extends Omit<IntervenedCallOptions, "out" | "lse"> {
  /** Query rows [begin, end). */
  readonly rows: readonly [begin: number, end: number];
}

/**
 * Exact rows of the pattern, after all operations on the heads: what attention makes of values that are all 0 but for a 1, for up to 256 keys at
 * a time. For looking at some rows, not for computing with them: takes an attention of all rows for every 256 keys (of the given rows only where
 * there are no operations, bias, mods or `queryOffset: "end"`), and memory linear in the tokens.
 *
 * @param q [B, Tq, Hq, D]; f16 queries give weights rounded to f16
 * @param k [B, Tk, Hkv, D]
 * @returns [B, Hq, rows, Tk], keys fastest
 * @throws AttentionError as `intervenedAttention`, "shape" for rows that are not there, "unsupported" for packed sequences, listed rows and
 * block masks
 */
export async function attentionPattern(
  ctx: AttentionContext,
  q: TensorView,
  k: TensorView,
  options: PatternOptions,
): Promise<Float32Array<ArrayBuffer>> {
  const { rows, ...attention } = options;
  checkPlainRows("attentionPattern", attention);
  const [batches, tokensQ, heads] = q.shape;
  const [, tokensK, kvHeads] = k.shape;
  const [first, end] = checkedRows(rows, tokensQ);
  const given = canCutRows(attention) ? cutRows(q, k, attention, [first, end]) : { q, attention };
  const skipped = given.q === q ? first : 0;
  const count = end - first;
  const pattern = new Float32Array(batches * heads * count * tokensK);
  for (let piece = 0; piece < tokensK; piece += PIECE) {
    const width = Math.min(PIECE, tokensK - piece);
    const v = oneHotValues(ctx, [batches, tokensK, kvHeads, width], k.dtype, piece);
    try {
      const { out } = await intervenedAttention(ctx, given.q, k, v, given.attention);
      const weights = await ctx.read(rowsOf(out, skipped, count)).finally(() => out.buffer.destroy());
      for (let row = 0; row < batches * count * heads; row++) {
        const [b, i, h] = [Math.floor(row / (count * heads)), Math.floor(row / heads) % count, row % heads];
        const at = ((b * heads + h) * count + i) * tokensK + piece;
        pattern.set(weights.subarray(row * width, (row + 1) * width), at);
      }
    } finally {
      v.buffer.destroy();
    }
  }
  return pattern;
}

function checkedRows(rows: readonly [number, number], tokensQ: number): readonly [number, number] {
  if (!Array.isArray(rows))
    fail("shape", "rows", "[begin, end) of query rows", rows, "rows: [0, 1] is the first one.");
  const [begin, end] = rows;
  checkInteger("rows[0]", begin, 0);
  checkInteger("rows[1]", end, begin + 1);
  if (end > tokensQ)
    fail("shape", "rows", `[begin, end) within ${tokensQ} rows`, `[${begin}, ${end}]`, "Count from 0.");
  return [begin, end];
}

type Attention = Omit<PatternOptions, "rows">;

/** Whether rows can be had by themselves: operations may look at all rows, mods and biases count them. */
function canCutRows({ heads, queryOffset, bias, scoreMod, maskMod }: Attention): boolean {
  return !heads && queryOffset !== "end" && !bias && !scoreMod && !maskMod;
}

function cutRows(
  q: TensorView,
  k: TensorView,
  attention: Attention,
  [first, end]: readonly [number, number],
) {
  const { queryOffset = k.shape[1] - q.shape[1] } = attention;
  return {
    q: rowsOf(q, first, end - first),
    attention: { ...attention, queryOffset: (queryOffset as number) + first },
  };
}

function rowsOf(view: TensorView, first: number, count: number): TensorView {
  const [batches, tokens, heads, dim] = view.shape;
  const strides = view.strides ?? ([tokens * heads * dim, heads * dim, dim, 1] as const);
  const offset = (view.offset ?? 0) + first * strides[1];
  return { ...view, shape: [batches, count, heads, dim], strides, offset };
}

/** Value j is 1 in channel j - piece alone. */
function oneHotValues(
  ctx: AttentionContext,
  shape: Shape4,
  dtype: TensorLayout["dtype"],
  piece: number,
): TensorView {
  const [batches, tokens, heads, width] = shape;
  const data = new Float32Array(batches * tokens * heads * width);
  for (let b = 0; b < batches; b++)
    for (let n = 0; n < width; n++)
      for (let h = 0; h < heads; h++) data[((b * tokens + piece + n) * heads + h) * width + n] = 1;
  return ctx.fromArray(data, shape, dtype);
}
