import { bytesOf } from "../../src/dispatch/layout.js";
import type { SelectConfiguration } from "./configuration.js";
import { BLOCK_Q, candidateBlocks, localPairs } from "./geometry.js";
import localScores from "./local_scores.wgsl";
import { hitWords, type Memory, type memoryBytes } from "./memory.js";
import type { Bindings, Draft } from "./pass-parts.js";
import type { SaleShape } from "./problem.js";
import selectBlocks from "./select_blocks.wgsl";

/** Threads of `select_blocks.wgsl` that share out the rows: ROW_THREADS there. */
const ROW_THREADS = 8;
/** Four 8-bit multiply-adds are one instruction. */
const PRODUCTS_AT_ONCE = 4;

/** Maximum, sum and threshold of every row from block 0 and the local blocks. */
export function localScoresPass(shape: SaleShape, memory: Memory, configuration: SelectConfiguration): Draft {
  const { batches, heads, headDim, queryBlocks, q, k } = shape;
  const constants = { ROWS: configuration.localRows, KEYS: 8 };
  const round = Array.from({ length: queryBlocks }, (_, a) => {
    const flops = 2 * headDim * localPairs(shape, a);
    return { flops, work: flops * 1.5 };
  });
  return {
    name: "sale/local_scores",
    kernel: localScores,
    tensors: [q, k],
    constants,
    unroll: configuration.unroll ? constants : {},
    bindings: {
      thresholds: { table: "thresholds" },
      q: { tensor: "q" },
      k: { tensor: "k" },
      means: memory.means,
      q_scales: memory.q_scales,
      states: memory.states,
    } satisfies Bindings<"local_scores">,
    round,
    repeats: batches * heads,
    bytes: bytesOf(q, k) + 16 * batches * heads * shape.tokens,
  };
}

/** Estimated scores of all candidate blocks against the thresholds. */
export function selectPass(
  shape: SaleShape,
  memory: Memory,
  bytes: ReturnType<typeof memoryBytes>,
  configuration: SelectConfiguration,
): Draft {
  const { batches, heads, headDim, blockK, queryBlocks } = shape;
  const { dot4, rows: ROWS, keys: KEYS, lanes: LANES, unroll, unrollWords } = configuration;
  const words = hitWords(shape);
  const together = (ROW_THREADS * ROWS) / BLOCK_Q;
  const pairFlops = (2 * headDim) / PRODUCTS_AT_ONCE;
  const round = Array.from({ length: Math.ceil(queryBlocks / together) * words }, (_, index) => {
    const first = (index % words) * 32;
    const blocks = Array.from({ length: together }, (_unused, n) => {
      const queryBlock = Math.floor(index / words) * together + n;
      if (queryBlock >= queryBlocks) return 0;
      const last = Math.min(candidateBlocks(shape, queryBlock), first + 31);
      return Math.max(0, last - Math.max(first, 1) + 1);
    });
    const flops = BLOCK_Q * blockK * pairFlops * blocks.reduce((sum, count) => sum + count, 0);
    const visited = together * BLOCK_Q * blockK * pairFlops * Math.max(...blocks);
    return { flops, work: (dot4 ? 1 : 2) * visited };
  });
  const loops = { ROWS, PAIRS: ROWS / 2, KEYS, KEY_PAIRS: KEYS / 2, QUAD: 4, NIBBLES: 8 };
  const wordLoops = { WORDS: Math.ceil(headDim / 8), QUADS: Math.ceil(headDim / 32) };
  return {
    name: "sale/select_blocks",
    kernel: selectBlocks,
    conditions: dot4 ? ["dot4"] : [],
    constants: { ROWS, KEYS, LANES },
    unroll: unroll ? { ...loops, ...(unrollWords && wordLoops) } : {},
    bindings: {
      thresholds: { table: "thresholds" },
      q_words: memory.q_words,
      k_words: memory.k_words,
      k_scales: memory.k_scales,
      corrections: memory.corrections,
      states: memory.states,
      hits: memory.hits,
    } satisfies Bindings<"select_blocks">,
    round,
    repeats: batches * heads,
    bytes: bytes.q_words + bytes.k_words + bytes.corrections + bytes.states + bytes.hits,
  };
}
