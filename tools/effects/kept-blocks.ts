import { sum } from "./figures.js";

/** How SALE cuts a causal map into blocks: 64 queries by `blockK` keys. */
export interface SaleBlocks {
  readonly tokens: number;
  readonly blockK: number;
  readonly segment: number;
  readonly localWindow: number;
}

const BLOCK_Q = 64;

/** Causal key blocks of each block of queries. */
export function causalBlocks({ tokens, blockK }: Pick<SaleBlocks, "tokens" | "blockK">): number[] {
  const keyBlocks = Math.ceil(tokens / blockK);
  return Array.from({ length: Math.ceil(tokens / BLOCK_Q) }, (_, a) =>
    Math.min(keyBlocks, (BLOCK_Q * (a + 1)) / blockK),
  );
}

/** The share of causal blocks that no threshold can leave out: block 0 and the local ones (`kernels/sale/README.md`). */
export function forcedShare({ tokens, blockK, segment, localWindow }: SaleBlocks): number {
  const [step, local] = [segment / blockK, localWindow / blockK];
  const causal = causalBlocks({ tokens, blockK });
  const candidates = causal.map((count) => step * Math.max(0, Math.floor((count - 1 - local) / step)));
  return 1 - sum(candidates) / sum(causal);
}

/**
 * The share of causal blocks that each head visits.
 *
 * @param states [heads, query blocks, key blocks], 0 where a block is not visited
 */
export function keptShares(
  states: Uint8Array,
  heads: number,
  blocks: Pick<SaleBlocks, "tokens" | "blockK">,
): number[] {
  const causal = sum(causalBlocks(blocks));
  const each = states.length / heads;
  return Array.from(
    { length: heads },
    (_, head) => states.subarray(head * each, (head + 1) * each).filter((state) => state > 0).length / causal,
  );
}
