import type { Capabilities } from "../../src/dispatch/capabilities.js";
import { fail } from "../../src/dispatch/check.js";
import type { RowsConfiguration, SoftmaxConfiguration, TiledConfiguration } from "./configuration.js";
import { longestSequence } from "./packed.js";
import type { SoftmaxShape } from "./problem.js";
import { DECODE_TOKENS, type Sizes } from "./sizes.js";
import { tableConfiguration } from "./table.js";

export type PrefillConfiguration = TiledConfiguration | RowsConfiguration;

/** Problems that only kernels in which a workgroup owns query rows can do. */
export function ownsRows({ blockMask, queryRows, packed }: SoftmaxShape): boolean {
  return blockMask !== undefined || queryRows !== undefined || packed !== undefined;
}

/**
 * Sizes to choose a kernel by that owns rows: never a decode kernel's, and for packed sequences those of the longest, since tiles for
 * all rows of many short ones would be empty for the most part.
 */
export function rowSizes(shape: SoftmaxShape): Sizes {
  const longest = shape.packed ? Math.min(longestSequence(shape.packed), shape.tokensQ) : shape.tokensQ;
  return { ...shape, tokensQ: Math.max(longest, DECODE_TOKENS + 1) };
}

/** The configuration, or the table's where it cuts keys; with tiles that divide the blocks of a block mask. */
export function rowConfiguration(
  chosen: SoftmaxConfiguration,
  shape: SoftmaxShape,
  capabilities: Capabilities,
): PrefillConfiguration {
  const own = cutsKeys(chosen) ? tableConfiguration(rowSizes(shape), capabilities) : chosen;
  const prefill = own as PrefillConfiguration;
  return shape.blockMask ? dividing(prefill, shape.blockMask) : prefill;
}

/** Whether a configuration can do this problem as it is. */
export function suitsRows(configuration: SoftmaxConfiguration, shape: SoftmaxShape): boolean {
  if (!ownsRows(shape)) return true;
  if (cutsKeys(configuration)) return false;
  const [rows, keys] = tileSizes(configuration as PrefillConfiguration);
  const { blockMask } = shape;
  return !blockMask || (blockMask.blockQ % rows === 0 && blockMask.blockK % keys === 0);
}

/** @throws AttentionError "unsupported" or "shape" for a configuration of the application's that cannot do this problem */
export function checkRowConfiguration(configuration: SoftmaxConfiguration, shape: SoftmaxShape): void {
  if (suitsRows(configuration, shape)) return;
  if (cutsKeys(configuration))
    fail(
      "unsupported",
      "configuration.kernel",
      '"rows" or "tiled" for a block mask, listed query rows or packed sequences',
      `"${configuration.kernel}"`,
      "Leave the configuration out.",
    );
  const { blockMask } = shape;
  const [rows, keys] = tileSizes(configuration as PrefillConfiguration);
  fail(
    "shape",
    "configuration",
    `a tile that divides the mask's blocks of ${blockMask!.blockQ} rows by ${blockMask!.blockK} keys`,
    `${rows} rows by ${keys} keys`,
    "Leave the configuration out, or choose other sizes.",
  );
}

function cutsKeys({ kernel }: SoftmaxConfiguration): boolean {
  return kernel === "split" || kernel === "strips";
}

/** Query rows and keys of a workgroup's tile. */
export function tileSizes(configuration: PrefillConfiguration): [rows: number, keys: number] {
  return configuration.kernel === "tiled"
    ? [configuration.rows * configuration.groups, configuration.lanes * configuration.keys]
    : [configuration.rows * configuration.threads, configuration.keys];
}

/** Blocks have at least 32 rows and 16 keys, and powers of two among their divisors: halving sizes always ends. */
function dividing(
  configuration: PrefillConfiguration,
  mask: { readonly blockQ: number; readonly blockK: number },
): PrefillConfiguration {
  const [rows, keys] = tileSizes(configuration);
  if (mask.blockQ % rows !== 0) return dividing(fewerRows(configuration), mask);
  if (mask.blockK % keys !== 0) return dividing(fewerKeys(configuration), mask);
  return configuration;
}

function fewerRows(configuration: PrefillConfiguration): PrefillConfiguration {
  if (configuration.kernel === "tiled") {
    const { groups, rows } = configuration;
    return groups > 4 || rows === 1
      ? { ...configuration, groups: floorPowerOfTwo(groups - 1) }
      : { ...configuration, rows: floorPowerOfTwo(rows - 1) };
  }
  const { threads, rows } = configuration;
  return threads > 4
    ? { ...configuration, threads: floorPowerOfTwo(threads - 1) }
    : { ...configuration, rows: floorPowerOfTwo(rows - 1) };
}

function fewerKeys(configuration: PrefillConfiguration): PrefillConfiguration {
  const { keys } = configuration;
  if (configuration.kernel === "tiled" && keys === 1)
    return { ...configuration, lanes: floorPowerOfTwo(configuration.lanes - 1) };
  const fewer = floorPowerOfTwo(keys - 1);
  return { ...configuration, keys: configuration.kernel === "rows" ? Math.max(fewer, 4) : fewer };
}

function floorPowerOfTwo(n: number): number {
  return 2 ** Math.floor(Math.log2(Math.max(n, 1)));
}
