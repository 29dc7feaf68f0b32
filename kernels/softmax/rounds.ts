import type { Capabilities } from "../../src/dispatch/capabilities.js";
import { mostLoopRounds } from "../../src/dispatch/loop-rounds.js";
import type { SoftmaxConfiguration } from "./configuration.js";
import type { SoftmaxShape } from "./problem.js";
import { type PrefillConfiguration, tileSizes } from "./row-configuration.js";
import { rowTiles } from "./row-tiles.js";

/** Widths up to which the loop over channels may be unrolled too: its body is a tile of scores for each vec4. */
const MOST_UNROLLED_CHANNELS = 128;

/** Whether the loop over channels has to be unrolled, so that a tile of rows with very many keys stays within the device's rounds. */
export function unrollsChannels(
  configuration: PrefillConfiguration,
  shape: SoftmaxShape,
  capabilities: Capabilities,
): boolean {
  const most = mostLoopRounds(capabilities);
  return (
    configuration.kernel === "rows" &&
    configuration.unroll &&
    shape.headDim <= MOST_UNROLLED_CHANNELS &&
    longestRounds(configuration, shape, most, false) > most
  );
}

/** Whether a tile of rows takes more rounds of loops than the device lets it. */
export function exceedsRounds(
  configuration: PrefillConfiguration,
  shape: SoftmaxShape,
  capabilities: Capabilities,
): boolean {
  const most = mostLoopRounds(capabilities);
  return (
    longestRounds(configuration, shape, most, unrollsChannels(configuration, shape, capabilities)) > most
  );
}

function longestRounds(
  configuration: PrefillConfiguration,
  shape: SoftmaxShape,
  most: number,
  channelsUnrolled: boolean,
): number {
  if (most === Number.POSITIVE_INFINITY) return 0;
  const [rows, keys] = tileSizes(configuration);
  const longest = rowTiles(shape, rows).reduce((sum, tile) => Math.max(sum, tile.keys), 0);
  return Math.ceil(longest / keys) * tileRounds(configuration, shape, channelsUnrolled);
}

/** Rounds for one tile of keys; loops over registers of constant size are the compiler's to unroll. */
function tileRounds(
  configuration: SoftmaxConfiguration,
  shape: SoftmaxShape,
  channelsUnrolled: boolean,
): number {
  const [dim4, value4] = [Math.ceil(shape.headDim / 4), Math.ceil(shape.valueDim / 4)];
  switch (configuration.kernel) {
    case "tiled": {
      const { lanes, groups, keys, staged } = configuration;
      const tile = lanes * keys;
      const stage = staged ? 2 + Math.ceil((tile * (dim4 + value4)) / (lanes * groups)) : 0;
      return 4 + dim4 + lanes + tile + stage;
    }
    case "split":
      return 4 + dim4 + configuration.threads;
    default: {
      const columns = configuration.unroll ? 0 : Math.min(configuration.columns, value4);
      return 2 + (channelsUnrolled ? 0 : dim4) + columns;
    }
  }
}

/** The keys that one range of a cut may have at most. */
export function mostRangeKeys(
  configuration: SoftmaxConfiguration,
  shape: SoftmaxShape,
  capabilities: Capabilities,
): number {
  const keys =
    configuration.kernel === "split"
      ? configuration.threads
      : configuration.kernel === "strips"
        ? configuration.keys
        : 1;
  return Math.floor(mostLoopRounds(capabilities) / tileRounds(configuration, shape, false)) * keys;
}
