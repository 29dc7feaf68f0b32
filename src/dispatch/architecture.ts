import type { Capabilities } from "./capabilities.js";

/** Families of hardware that kernels and budgets tell apart. */
export type Architecture =
  | "apple"
  | "intel"
  | "amd"
  | "nvidia"
  | "qualcomm"
  | "arm"
  | "swiftshader"
  | "llvmpipe"
  | "unknown";

/** CPU drivers first: they may name the vendor of the processor that they run on. */
const NAMES: readonly (readonly [pattern: RegExp, architecture: Architecture])[] = [
  [/swiftshader/i, "swiftshader"],
  // WARP is Windows' own driver that computes on the processor.
  [/llvmpipe|lavapipe|microsoft basic render|\bwarp\b/i, "llvmpipe"],
  [/nvidia|geforce|quadro|\btesla\b/i, "nvidia"],
  [/apple/i, "apple"],
  [/qualcomm|adreno/i, "qualcomm"],
  [/\bamd\b|\bati\b|radeon|xclipse/i, "amd"],
  [/intel/i, "intel"],
  // Mali's peers, too: small tile-based GPUs in phones, with which it shares most of its traits.
  [/\barm\b|mali|immortalis|imagination|powervr|img-tec|samsung|broadcom|videocore/i, "arm"],
];

/** The family by what the adapter says of itself; browsers may say nothing, which is "unknown". */
export function architectureOf({ adapter }: Pick<Capabilities, "adapter">): Architecture {
  const { vendor, architecture, device, description } = adapter;
  const name = [vendor, architecture, device, description].join(" ");
  return NAMES.find(([pattern]) => pattern.test(name))?.[1] ?? "unknown";
}
