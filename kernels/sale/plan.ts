import type { Capabilities } from "../../src/dispatch/capabilities.js";
import { bytesOf } from "../../src/dispatch/layout.js";
import type { Pass } from "../../src/dispatch/pass.js";
import columnMeans from "./column_means.wgsl";
import columnSums from "./column_sums.wgsl";
import { type SelectConfiguration, tableConfiguration } from "./configuration.js";
import correction from "./correction.wgsl";
import { causalBlocks } from "./geometry.js";
import listBlocks from "./list_blocks.wgsl";
import { CHUNK, type Memory, memoryBytes, rowsOf } from "./memory.js";
import { type Bindings, type Device, type Draft, dispatches, evenWork } from "./pass-parts.js";
import type { SaleShape } from "./problem.js";
import quantise from "./quantise.wgsl";
import { localScoresPass, selectPass } from "./score-passes.js";

/** What a plan may choose by, besides the problem and the device. */
export interface PlanOptions {
  /** Operations that one dispatch may hold; default no bound. */
  readonly maxDispatchFlops?: number;
  /** Default what the table has for this kind of device. */
  readonly configuration?: SelectConfiguration;
}

/**
 * Passes that select the key blocks of each query block, from q and k to lists of blocks. Pure: the same problem gives the same
 * passes.
 *
 * @param memory where the passes leave what they hand to each other, of `memoryBytes`
 */
export function planSelection(
  shape: SaleShape,
  capabilities: Capabilities,
  memory: Memory,
  options: PlanOptions = {},
): Pass[] {
  const { maxDispatchFlops = Number.POSITIVE_INFINITY } = options;
  const { configuration = tableConfiguration(shape.headDim, capabilities) } = options;
  const device: Device = { capabilities, maxDispatchFlops };
  const bytes = memoryBytes(shape, capabilities);
  const sides = ["queries", "keys"] as const;
  return [
    ...sides.flatMap((side) => meanPasses(shape, memory, side)),
    ...sides.map((side) => quantisePass(shape, memory, bytes, side)),
    correctionPass(shape, memory, bytes),
    localScoresPass(shape, memory, configuration),
    selectPass(shape, memory, bytes, configuration),
    listPass(shape, memory, bytes),
  ].flatMap((draft) => dispatches(shape, draft, device));
}

type Bytes = ReturnType<typeof memoryBytes>;
type Side = NonNullable<Draft["side"]>;

function sideOf({ q, k, batches, heads, kvHeads }: SaleShape, side: Side) {
  const queries = side === "queries";
  return { tensor: queries ? q : k, name: queries ? "q" : "k", heads: batches * (queries ? heads : kvHeads) };
}

/** Sums of runs of tokens, then of these. */
function meanPasses(shape: SaleShape, memory: Memory, side: Side): Draft[] {
  const { tensor, name, heads } = sideOf(shape, side);
  const columns = heads * Math.ceil(shape.headDim / 4);
  const chunks = Math.ceil(shape.tokens / CHUNK);
  return [
    {
      name: "sale/column_sums",
      kernel: columnSums,
      side,
      tensors: [tensor],
      bindings: { x: { tensor: name }, sums: memory.sums } satisfies Bindings<"column_sums">,
      ...evenWork(columns * chunks, 4 * Math.min(CHUNK, shape.tokens)),
      bytes: bytesOf(tensor) + 16 * columns * chunks,
    },
    {
      name: "sale/column_means",
      kernel: columnMeans,
      side,
      bindings: { sums: memory.sums, means: memory.means } satisfies Bindings<"column_means">,
      ...evenWork(columns, 4 * chunks),
      bytes: 16 * columns * (chunks + 1),
    },
  ];
}

function quantisePass(shape: SaleShape, memory: Memory, bytes: Bytes, side: Side): Draft {
  const { tensor, name, heads } = sideOf(shape, side);
  const rows = side === "queries" ? 2 : shape.blockK / 4;
  const [words, scales] =
    side === "queries" ? (["q_words", "q_scales"] as const) : (["k_words", "k_scales"] as const);
  const flops = rows * shape.headDim;
  return {
    name: "sale/quantise",
    kernel: quantise,
    side,
    tensors: [tensor],
    bindings: {
      x: { tensor: name },
      means: memory.means,
      words: memory[words],
      scales: memory[scales],
    } satisfies Bindings<"quantise">,
    // A centred channel takes a subtraction twice, a maximum, and a division that is then put right.
    ...evenWork((heads * rowsOf(shape)) / rows, 2 * flops, 32 * flops),
    bytes: bytesOf(tensor) + bytes[words] + bytes[scales],
  };
}

function correctionPass(shape: SaleShape, memory: Memory, bytes: Bytes): Draft {
  const { batches, heads, headDim, k } = shape;
  return {
    name: "sale/correction",
    kernel: correction,
    tensors: [k],
    bindings: {
      x: { tensor: "k" },
      means: memory.means,
      k_scales: memory.k_scales,
      corrections: memory.corrections,
    } satisfies Bindings<"correction">,
    ...evenWork(batches * heads * rowsOf(shape), 3 * headDim),
    bytes: bytesOf(k) + bytes.corrections,
  };
}

function listPass(shape: SaleShape, memory: Memory, bytes: Bytes): Draft {
  const { batches, heads, queryBlocks } = shape;
  const most = causalBlocks(shape, queryBlocks - 1);
  return {
    name: "sale/list_blocks",
    kernel: listBlocks,
    bindings: {
      thresholds: { table: "thresholds" },
      hits: memory.hits,
      lists: memory.lists,
    } satisfies Bindings<"list_blocks">,
    ...evenWork(batches * heads * queryBlocks, 0, 8 * most),
    bytes: bytes.hits + bytes.lists,
  };
}
