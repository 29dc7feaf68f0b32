import type { Capabilities } from "../../src/dispatch/capabilities.js";
import { fail } from "../../src/dispatch/check.js";
import type { Pass } from "../../src/dispatch/pass.js";
import type { RowsConfiguration, SoftmaxConfiguration } from "./configuration.js";
import { decodeFits, planDecode } from "./decode.js";
import { longestTile, planPrefill } from "./prefill.js";
import type { SoftmaxShape } from "./problem.js";
import { exceedsRounds } from "./rounds.js";
import { ownsRows, rowConfiguration, rowSizes } from "./row-configuration.js";
import { DECODE_TOKENS } from "./sizes.js";
import { tableConfiguration } from "./table.js";

/** What a plan may choose by, besides the problem and the device. */
export interface PlanOptions {
  /** Kernel and tile; default what the table has for this kind of device. */
  readonly configuration?: SoftmaxConfiguration;
  /** Operations that one dispatch may hold; default no bound. */
  readonly maxDispatchFlops?: number;
}

/** Chooses passes, variants and constants for a checked problem. Pure: the same problem gives the same passes. */
export function planSoftmax(
  shape: SoftmaxShape,
  capabilities: Capabilities,
  options: PlanOptions = {},
): Pass[] {
  const { maxDispatchFlops = Number.POSITIVE_INFINITY } = options;
  const sizes = ownsRows(shape) ? rowSizes(shape) : shape;
  const wished = options.configuration ?? tableConfiguration(sizes, capabilities);
  const chosen = ownsRows(shape) ? rowConfiguration(wished, shape, capabilities) : wished;
  if (chosen.kernel === "split" || chosen.kernel === "strips")
    return planDecode(shape, capabilities, chosen, maxDispatchFlops);

  const smaller = chosen.kernel === "rows" ? shrunk(chosen, shape, maxDispatchFlops) : chosen;
  const configuration = ownsRows(shape) ? rowConfiguration(smaller, shape, capabilities) : smaller;
  const endless = exceedsRounds(configuration, shape, capabilities);
  if (!ownsRows(shape) && (endless || longestTile(shape, configuration) > maxDispatchFlops)) {
    // A tile of rows that is too long for one dispatch is cut along the keys, as decoding always is. Where the partial sums of
    // that would not fit in a binding, a workgroup a dispatch is the finest cut there is.
    const fewer = { ...shape, tokensQ: Math.min(shape.tokensQ, DECODE_TOKENS) };
    const cut = tableConfiguration(fewer, capabilities);
    if (
      (cut.kernel === "split" || cut.kernel === "strips") &&
      decodeFits(shape, { ...cut, keysPerSplit: shape.tokensK }, capabilities, maxDispatchFlops)
    )
      return planDecode(shape, capabilities, { ...cut, keysPerSplit: shape.tokensK }, maxDispatchFlops);
  }
  if (endless)
    fail(
      "limit",
      "keys of a tile of query rows",
      "so few that this driver does not end the loop over them (llvmpipe ends loops after 65,535 rounds)",
      `up to ${shape.tokensK} keys of ${shape.headDim} channels`,
      "Give the block mask its counts, use another driver, or split the keys and merge by log-sum-exp.",
    );
  return planPrefill(shape, capabilities, configuration, maxDispatchFlops);
}

/** Fewer threads where their rows together are more than a dispatch may hold; always whole quads. */
function shrunk(
  configuration: RowsConfiguration,
  shape: SoftmaxShape,
  maxDispatchFlops: number,
): RowsConfiguration {
  const threads = 4 * Math.floor(configuration.threads / 8);
  if (threads === 0 || longestTile(shape, configuration) <= maxDispatchFlops) return configuration;
  return shrunk({ ...configuration, threads }, shape, maxDispatchFlops);
}
