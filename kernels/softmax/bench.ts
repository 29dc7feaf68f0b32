import type { AttentionContext } from "../../src/dispatch/context.js";
import type { Shape4 } from "../../src/dispatch/tensor-view.js";
import { normalArray, randomSource } from "../../test/support/random.js";
import type { BenchEntry, BenchRow, MechanismBench } from "../_bench/mechanism-bench.js";
import { planEntry, recorded } from "../_bench/plan-entry.js";
import {
  causalMask,
  createBlockMask,
  documentMask,
  type MaskMod,
  planSoftmaxAttention,
  type SoftmaxOptions,
} from "./index.js";
import { softmaxAttentionReference } from "./reference.js";

const [HEADS, DIM] = [8, 64];
const TOLERANCE = 1e-5;
const CHECKED_ROWS = 4;

interface Masked {
  readonly options: Omit<SoftmaxOptions, "bias">;
  readonly buffers: readonly GPUBuffer[];
}

/** Softmax attention under a mask; a few query rows are checked. `sees` is what the options mean. */
function masked(
  name: string,
  tokens: number,
  make: (ctx: AttentionContext) => Promise<Masked>,
  sees: (i: number, j: number) => boolean,
): BenchEntry {
  return {
    name,
    rows: tokens * HEADS,
    async prepare(ctx) {
      const shape: Shape4 = [1, tokens, HEADS, DIM];
      const random = randomSource(1);
      const data = () => normalArray(tokens * HEADS * DIM, random);
      const [q, k, v] = [data(), data(), data()];
      const { options, buffers } = await make(ctx);
      const tensors = {
        q: ctx.fromArray(q, shape),
        k: ctx.fromArray(k, shape),
        v: ctx.fromArray(v, shape),
        out: ctx.empty(shape),
      };
      const plan = await planSoftmaxAttention(ctx, { ...tensors, ...options });
      const width = HEADS * DIM;
      const rows = Array.from({ length: CHECKED_ROWS }, (_, n) =>
        Math.round((n * (tokens - 1)) / (CHECKED_ROWS - 1)),
      );
      const expected = () => {
        const values = rows.flatMap((row) => [
          ...softmaxAttentionReference({
            q: { data: q.subarray(row * width, (row + 1) * width), shape: [1, 1, HEADS, DIM] },
            k: { data: k, shape },
            v: { data: v, shape },
            maskMod: (_b, _h, _i, j) => sees(row, j),
          }).out,
        ]);
        const places = rows.flatMap((row) => Array.from({ length: width }, (_, n) => row * width + n));
        return [{ view: tensors.out, places, values }];
      };
      const all = [...Object.values(tensors).map(({ buffer }) => buffer), ...buffers];
      return planEntry(ctx, [recorded(plan, tensors)], [tensors.out], expected, TOLERANCE, all);
    },
  };
}

const built = (options: Masked["options"]) => async () => ({ options, buffers: [] });

/** A mask of the application's, with the block mask made of it. */
function withBlocks(maskMod: MaskMod, tokens: number) {
  return async (ctx: AttentionContext): Promise<Masked> => {
    const blockMask = await createBlockMask(ctx, maskMod, { shape: [1, 1, tokens, tokens] });
    return { options: { maskMod, blockMask }, buffers: [blockMask.buffer] };
  };
}

function causalRow(tokens: number): BenchRow {
  const sees = (i: number, j: number) => j <= i;
  return {
    name: `causal, ${tokens} tokens`,
    compare: "speedup",
    entries: [
      masked("built in", tokens, built({ causal: true }), sees),
      masked("mask and block mask", tokens, withBlocks(causalMask(), tokens), sees),
    ],
  };
}

function documentRow(tokens: number): BenchRow {
  const length = tokens / 8;
  const documents = Array.from({ length: tokens }, (_, t) => Math.floor(t / length));
  const offsets = Array.from({ length: 9 }, (_, n) => n * length);
  const sees = (i: number, j: number) => documents[i] === documents[j];
  return {
    name: `8 documents, ${tokens} tokens`,
    compare: "speedup",
    entries: [
      masked("dense", tokens, built({}), () => true),
      masked("mask and block mask", tokens, withBlocks(documentMask(documents, tokens), tokens), sees),
      masked("packed sequences", tokens, built({ queryOffsets: offsets, keyOffsets: offsets }), sees),
    ],
  };
}

/** What masks of the application's cost, and what block masks and packing save. H = 8, D = 64. */
export default { rows: [causalRow(1024), causalRow(4096), documentRow(1024)] } satisfies MechanismBench;
