import { bytesOf } from "../../src/dispatch/layout.js";
import type { SelectConfiguration } from "./configuration.js";
import { BLOCK_Q, candidateBlocks, localPairs } from "./geometry.js";
import localScores from "./local_scores.wgsl";
import { hitWords, type Memory, type memoryBytes } from "./memory.js";
import type { Bindings, Draft } from "./pass-parts.js";
import type { SaleShape } from "./problem.js";
import selectBlocks from "./select_blocks.wgsl";

/** Rows of a thread of `select_blocks.wgsl`: ROWS there. */
const SELECT_ROWS = 8;
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
  const { dot4, keys: KEYS, lanes: LANES, unroll, unrollWords } = configuration;
  const words = hitWords(shape);
  const round = Array.from({ length: queryBlocks * words }, (_, index) => {
    const candidates = candidateBlocks(shape, Math.floor(index / words));
    const first = (index % words) * 32;
    const blocks = Math.max(0, Math.min(candidates, first + 31) - Math.max(first, 1) + 1);
    const flops = (2 * BLOCK_Q * blockK * blocks * headDim) / PRODUCTS_AT_ONCE;
    return { flops, work: (dot4 ? 1 : 2) * flops };
  });
  const loops = { KEYS, ROWS: SELECT_ROWS, PAIRS: SELECT_ROWS / 2, KEY_PAIRS: KEYS / 2, NIBBLES: 8 };
  return {
    name: "sale/select_blocks",
    kernel: selectBlocks,
    conditions: dot4 ? ["dot4"] : [],
    constants: { KEYS, LANES },
    unroll: unroll ? { ...loops, ...(unrollWords && { WORDS: Math.ceil(headDim / 8) }) } : {},
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
