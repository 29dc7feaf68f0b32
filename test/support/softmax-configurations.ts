import type {
  RowsConfiguration,
  SoftmaxConfiguration,
  StripsConfiguration,
} from "../../kernels/softmax/configuration.js";
import { DECODE_TOKENS, fitted, type Sizes } from "../../kernels/softmax/sizes.js";
import { tableConfiguration } from "../../kernels/softmax/table.js";
import type { Capabilities } from "../../src/index.js";
import { minimumCapabilities } from "./capabilities.js";

/** What an unknown GPU takes: the tile in workgroup memory for prefill, `split` and `merge` for decode. */
export function sharedConfiguration(sizes: Sizes): SoftmaxConfiguration {
  return tableConfiguration(sizes, minimumCapabilities());
}

/** The same with keys and values staged in workgroup memory. */
export function stagedConfiguration(sizes: Sizes, f16 = false): SoftmaxConfiguration {
  const table = tableConfiguration({ ...sizes, tokensQ: DECODE_TOKENS + 1 }, minimumCapabilities());
  // Two rows and two keys keep the tile within 16 KiB up to 128 channels, which `fitted` would else not stage.
  const small = { rows: 2, ...(sizes.headDim > 64 && { lanes: 4, groups: 4, keys: 1 }) };
  return fitted(
    { ...table, ...small, staged: true, f16 } as SoftmaxConfiguration,
    sizes,
    minimumCapabilities(),
  );
}

/**
 * What a CPU driver takes. Loops stay rolled unless `unroll`: they compile in a fifth of the time and run the same text.
 *
 * @param changes odd columns and other rows, to meet remainders
 */
export function registerConfiguration(
  sizes: Sizes,
  { subgroups }: Capabilities,
  changes: Partial<Omit<RowsConfiguration, "kernel"> & Omit<StripsConfiguration, "kernel">> = {},
): SoftmaxConfiguration {
  const minimum = minimumCapabilities();
  const adapter = { ...minimum.adapter, architecture: "swiftshader" };
  const table = tableConfiguration(sizes, { ...minimum, adapter, subgroups });
  const known = Object.fromEntries(Object.entries(changes).filter(([name]) => name in table));
  return { ...table, unroll: false, ...known } as SoftmaxConfiguration;
}
