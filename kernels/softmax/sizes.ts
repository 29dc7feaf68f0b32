import type { Capabilities } from "../../src/dispatch/capabilities.js";
import { powerOfTwo } from "../../src/dispatch/power-of-two.js";
import type { SoftmaxConfiguration } from "./configuration.js";
import type { SoftmaxShape } from "./problem.js";

/** What a configuration is chosen by. */
export type Sizes = Pick<
  SoftmaxShape,
  "batches" | "tokensQ" | "tokensK" | "heads" | "kvHeads" | "headDim" | "valueDim" | "rotary"
>;

/** Query rows up to which the keys, not the rows, have to keep the GPU busy. */
export const DECODE_TOKENS = 8;

/** Query rows that share a key head and are taken together where keys are cut: tokens and grouped heads alike. */
export function blockRows({ heads, kvHeads, tokensQ }: Sizes): number {
  return Math.min(8, powerOfTwo((heads / kvHeads) * tokensQ));
}

/** How many such blocks there are. */
export function decodeBlocks(sizes: Sizes): number {
  const { batches, heads, kvHeads, tokensQ } = sizes;
  return Math.ceil(((heads / kvHeads) * tokensQ) / blockRows(sizes)) * kvHeads * batches;
}

/** Threads of a row group of `tiled`: a thread then sums 4 vec4 of values at most, up to 256 channels. */
export function rowGroupLanes(valueDim: number): number {
  const columns = Math.ceil(valueDim / 4);
  return columns > 16 ? 16 : columns > 4 ? 8 : 4;
}

/** Threads of a workgroup. Split decode needs one for each value column. */
export function workgroupThreads(configuration: SoftmaxConfiguration, { valueDim }: Sizes): number {
  if (configuration.kernel === "tiled") return configuration.groups * configuration.lanes;
  if (configuration.kernel === "split")
    return Math.max(configuration.threads, powerOfTwo(Math.ceil(valueDim / 4)));
  return configuration.threads;
}

/**
 * Bytes of workgroup memory, each variable rounded up as WebGPU counts it. Staged halves are counted as f32: whether they can be
 * halves depends on more than sizes.
 */
export function workgroupBytes(configuration: SoftmaxConfiguration, sizes: Sizes): number {
  const [dim4, value4] = [Math.ceil(sizes.headDim / 4), Math.ceil(sizes.valueDim / 4)];
  const floats = (count: number) => 16 * Math.ceil(count / 4);
  if (configuration.kernel === "tiled") {
    const { groups, lanes, rows, keys, staged } = configuration;
    const [tileQ, tileK] = [groups * rows, lanes * keys];
    const stage = staged ? tileK * Math.max(dim4 + 1, value4) : 1;
    const queries = sizes.rotary ? tileQ * dim4 : 1;
    return floats(tileQ * tileK) + floats(tileQ * lanes) + 16 * (stage + queries);
  }
  if (configuration.kernel === "split") {
    const threads = workgroupThreads(configuration, sizes);
    const rows = blockRows(sizes);
    return 16 * rows * dim4 + floats(rows * threads) + floats((rows * threads) / 8) + 16 * threads;
  }
  return 0;
}

export function fits(configuration: SoftmaxConfiguration, sizes: Sizes, { limits }: Capabilities): boolean {
  const threads = workgroupThreads(configuration, sizes);
  return (
    workgroupBytes(configuration, sizes) <= limits.maxComputeWorkgroupStorageSize &&
    threads <= limits.maxComputeInvocationsPerWorkgroup &&
    threads <= limits.maxComputeWorkgroupSizeX
  );
}

/** The configuration, made smaller until the device takes it: fewer rows first, which cost least, then fewer keys, no staging. */
export function fitted(
  configuration: SoftmaxConfiguration,
  sizes: Sizes,
  capabilities: Capabilities,
): SoftmaxConfiguration {
  if (fits(configuration, sizes, capabilities)) return configuration;
  const smaller = reduced(configuration);
  return smaller ? fitted(smaller, sizes, capabilities) : configuration;
}

function reduced(configuration: SoftmaxConfiguration): SoftmaxConfiguration | undefined {
  switch (configuration.kernel) {
    case "tiled": {
      const { groups, rows, keys, staged } = configuration;
      if (rows > 4) return { ...configuration, rows: rows / 2 };
      if (staged && keys > 1) return { ...configuration, keys: keys / 2 };
      if (staged) return { ...configuration, staged: false, keys: 2 };
      if (keys > 1) return { ...configuration, keys: keys / 2 };
      if (rows > 1) return { ...configuration, rows: rows / 2 };
      return groups > 1 ? { ...configuration, groups: groups / 2 } : undefined;
    }
    case "split":
      return configuration.threads > 16
        ? { ...configuration, threads: configuration.threads / 2 }
        : undefined;
    default:
      return configuration.threads > 4 ? { ...configuration, threads: configuration.threads / 2 } : undefined;
  }
}
