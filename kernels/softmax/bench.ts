import type { AttentionContext } from "../../src/dispatch/context.js";
import type { BenchEntry, BenchRow, MechanismBench } from "../_bench/mechanism-bench.js";
import { type BenchOptions, maskedSoftmaxEntry } from "../_bench/softmax-entry.js";
import { causalMask, createBlockMask, documentMask, type MaskMod } from "./index.js";

const [HEADS, DIM] = [8, 64];

function masked(
  name: string,
  tokens: number,
  make: (ctx: AttentionContext) => Promise<BenchOptions>,
  sees: (i: number, j: number) => boolean,
): BenchEntry {
  return maskedSoftmaxEntry({ name, tokens, heads: HEADS, dim: DIM, make, sees });
}

const built = (options: BenchOptions["options"]) => async () => ({ options });

/** A mask of the application's, with the block mask made of it. */
function withBlocks(maskMod: MaskMod, tokens: number) {
  return async (ctx: AttentionContext): Promise<BenchOptions> => {
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
