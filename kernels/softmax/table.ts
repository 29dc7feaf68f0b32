import { type Architecture, architectureOf } from "../../src/dispatch/architecture.js";
import type { Capabilities } from "../../src/dispatch/capabilities.js";
import type { SoftmaxConfiguration, TiledConfiguration } from "./configuration.js";
import { blockRows, DECODE_TOKENS, decodeBlocks, fitted, rowGroupLanes, type Sizes } from "./sizes.js";

/** What a GPU family is told apart by. Only shapes decide the rest: lanes by Dv, so that a thread's sums stay registers. */
interface GpuRow {
  /** Threads of a workgroup. */
  readonly threads: number;
  /** Query rows and keys of a thread in a tile. */
  readonly rows: number;
  readonly keys: number;
  readonly staged: boolean;
  /** Workgroups that a decode step should have, and keys that are worth one. */
  readonly decodeWorkgroups: number;
  readonly keysPerSplit: number;
}

/**
 * A row for each family, by what is published of its hardware; none was measured for this table except the two CPU drivers, and
 * `tuning: "measure"` does not rely on it. A thread's registers hold rows x (Dv / lanes) sums, rows x keys scores and a row of
 * each tensor; a load of 4 channels serves `rows` or `keys` products.
 */
const GPUS: Readonly<Record<Exclude<Architecture, "swiftshader" | "llvmpipe">, GpuRow>> = {
  // 255 registers a thread; workgroup memory and L1 are one memory, so staging saves the tags and the address arithmetic of
  // eight groups that read the same keys. Many cores: a decode step needs many workgroups.
  nvidia: { threads: 64, rows: 8, keys: 4, staged: true, decodeWorkgroups: 256, keysPerSplit: 128 },
  // 256 registers in waves of 32 or 64, a fast local memory beside a small L1 (16 to 32 KiB a pair of cores).
  amd: { threads: 64, rows: 8, keys: 4, staged: true, decodeWorkgroups: 128, keysPerSplit: 128 },
  // Registers are spilled early (a thread has 128 at full occupancy), the data cache is as fast as workgroup memory.
  apple: { threads: 64, rows: 4, keys: 4, staged: false, decodeWorkgroups: 64, keysPerSplit: 256 },
  // 128 registers shared by 16 lanes leave some 40 floats a thread before spilling; the L1 is shared with local memory.
  intel: { threads: 64, rows: 4, keys: 2, staged: false, decodeWorkgroups: 64, keysPerSplit: 256 },
  // Local memory is slow to fill and its use limits the waves in flight; loads through the texture cache are wide.
  qualcomm: { threads: 64, rows: 4, keys: 2, staged: false, decodeWorkgroups: 32, keysPerSplit: 256 },
  // Mali has no local memory of its own: workgroup memory is ordinary cached memory, and 64 registers a thread at half rate.
  arm: { threads: 64, rows: 2, keys: 4, staged: false, decodeWorkgroups: 32, keysPerSplit: 256 },
  // What no device does badly: 64 threads, 16 vec4 of sums at most, under 6 KiB of workgroup memory.
  unknown: { threads: 64, rows: 4, keys: 4, staged: false, decodeWorkgroups: 64, keysPerSplit: 256 },
};

/**
 * The configuration for a device by what is known of its kind, at once and without a GPU.
 *
 * Drivers that run on a CPU take kernels without barriers: there a barrier costs a switch of context for every few threads,
 * a dynamic index is a checked memory access, and every load is done lane by lane, so what counts is work per load. Measured on
 * SwiftShader, 512 tokens, 8 heads, D = 64, as a multiple of the best plain matrix product's rate in the same run: 8 rows by 8
 * keys 0.9 (1.5 s to compile), by 16 keys 1.0 (3 s), 4 rows 0.7 (0.7 s), without subgroups 0.65.
 */
export function tableConfiguration(sizes: Sizes, capabilities: Capabilities): SoftmaxConfiguration {
  const architecture = architectureOf(capabilities);
  const decode = sizes.tokensQ <= DECODE_TOKENS;
  if (architecture === "swiftshader" || architecture === "llvmpipe") {
    return decode ? stripsDecode(sizes) : rowsPrefill(sizes, capabilities);
  }
  const row = GPUS[architecture];
  return fitted(decode ? splitDecode(row, sizes) : tiledPrefill(row, sizes), sizes, capabilities);
}

function tiledPrefill({ threads, rows, keys, staged }: GpuRow, sizes: Sizes): TiledConfiguration {
  const lanes = rowGroupLanes(sizes.valueDim);
  return {
    kernel: "tiled",
    groups: threads / lanes,
    lanes,
    // Few rows: smaller tiles, so that there are enough workgroups.
    rows: sizes.tokensQ > 16 ? rows : Math.min(rows, 2),
    keys: lanes === 16 ? Math.min(keys, 2) : keys,
    // Rotating a key once for all groups of the tile is worth more than anything else about it.
    staged: staged || sizes.rotary !== undefined,
    f16: false,
  };
}

function splitDecode({ keysPerSplit, decodeWorkgroups }: GpuRow, sizes: Sizes): SoftmaxConfiguration {
  const share = Math.ceil((sizes.tokensK * decodeBlocks(sizes)) / decodeWorkgroups);
  return { kernel: "split", threads: 64, keysPerSplit: Math.max(keysPerSplit, share), f16: false };
}

/** Quads share loads where there are subgroups; more threads than one quad gain nothing and cost causal problems whole tiles. */
function rowsPrefill({ valueDim, tokensQ }: Sizes, { subgroups }: Capabilities): SoftmaxConfiguration {
  const columns = Math.min(Math.ceil(valueDim / 4), 32);
  // 8 rows of more than 20 columns take 2 to 3.5 s to compile, for a quarter more speed.
  const rows = tokensQ <= 32 ? 2 : columns > 20 ? 4 : 8;
  return {
    kernel: "rows",
    threads: subgroups ? 4 : 8,
    rows,
    keys: 8,
    columns,
    subgroups,
    unroll: true,
    f16: false,
  };
}

/** Strips that keep a few cores busy; where there are many blocks of rows, fewer are needed. */
const STRIPS = 256;

/** A strip in each of four lanes, and enough of them for a few cores. Measured: four to five times as fast as `split`. */
function stripsDecode(sizes: Sizes): SoftmaxConfiguration {
  return {
    kernel: "strips",
    threads: 4,
    keys: blockRows(sizes) > 2 ? 4 : 8,
    columns: Math.min(Math.ceil(sizes.valueDim / 4), 16),
    keysPerSplit: Math.max(64, Math.ceil((sizes.tokensK * decodeBlocks(sizes)) / STRIPS)),
    unroll: true,
    f16: false,
  };
}
