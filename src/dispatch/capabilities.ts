import { architectureOf } from "./architecture.js";

/** What a device can do, as plain data: plans depend on this alone, so they are tested without a GPU. */
export interface Capabilities {
  readonly f16: boolean;
  readonly subgroups: boolean;
  readonly timestamps: boolean;
  /** Whether WGSL has `dot4I8Packed` here: the language feature `packed_4x8_integer_dot_product`. */
  readonly dot4: boolean;
  /** Smallest and largest subgroup that a kernel may meet; 4 and 128 where the adapter does not say. */
  readonly subgroupSizes: readonly [min: number, max: number];
  readonly adapter: AdapterDescription;
  /**
   * Whether the adapter computes on the processor (SwiftShader, llvmpipe). There a load costs as much as a dozen
   * multiplications and a barrier a switch of context for every few threads: what suits a GPU is slow, and the reverse.
   */
  readonly software: boolean;
  readonly limits: CapabilityLimits;
}

/** As the browser reports it; empty strings where it withholds something. */
export interface AdapterDescription {
  readonly vendor: string;
  readonly architecture: string;
  readonly device: string;
  readonly description: string;
}

/** The limits that plans look at. Sizes are in bytes. */
export interface CapabilityLimits {
  readonly maxBufferSize: number;
  readonly maxStorageBufferBindingSize: number;
  readonly maxStorageBuffersPerShaderStage: number;
  readonly minStorageBufferOffsetAlignment: number;
  readonly maxComputeWorkgroupStorageSize: number;
  readonly maxComputeInvocationsPerWorkgroup: number;
  readonly maxComputeWorkgroupSizeX: number;
  readonly maxComputeWorkgroupsPerDimension: number;
}

const LIMIT_NAMES = [
  "maxBufferSize",
  "maxStorageBufferBindingSize",
  "maxStorageBuffersPerShaderStage",
  "minStorageBufferOffsetAlignment",
  "maxComputeWorkgroupStorageSize",
  "maxComputeInvocationsPerWorkgroup",
  "maxComputeWorkgroupSizeX",
  "maxComputeWorkgroupsPerDimension",
] as const satisfies readonly (keyof CapabilityLimits)[];

/** Features that kernels use where they are there. None of them is required. */
const FEATURES = ["shader-f16", "subgroups", "timestamp-query"] as const;

export function capabilitiesOf(device: GPUDevice): Capabilities {
  const info = device.adapterInfo;
  const adapter = {
    vendor: info?.vendor ?? "",
    architecture: info?.architecture ?? "",
    device: info?.device ?? "",
    description: info?.description ?? "",
  };
  return {
    f16: device.features.has("shader-f16"),
    subgroups: device.features.has("subgroups" as GPUFeatureName),
    timestamps: device.features.has("timestamp-query"),
    dot4: globalThis.navigator?.gpu?.wgslLanguageFeatures?.has("packed_4x8_integer_dot_product") ?? false,
    subgroupSizes: [info?.subgroupMinSize || 4, info?.subgroupMaxSize || 128],
    adapter,
    software: ["swiftshader", "llvmpipe"].includes(architectureOf({ adapter })),
    limits: Object.fromEntries(
      LIMIT_NAMES.map((name) => [name, device.limits[name]]),
    ) as unknown as CapabilityLimits,
  };
}

/**
 * What to pass to `adapter.requestDevice`: every optional feature the kernels can use and the adapter has, and the
 * adapter's own limits where more helps (buffer sizes for long contexts, workgroup memory and size for larger tiles).
 */
export function deviceRequirements(adapter: GPUAdapter): {
  requiredFeatures: GPUFeatureName[];
  requiredLimits: Record<string, number>;
} {
  const raised = LIMIT_NAMES.filter((name) => name !== "minStorageBufferOffsetAlignment");
  return {
    requiredFeatures: FEATURES.filter((name) =>
      adapter.features.has(name as GPUFeatureName),
    ) as GPUFeatureName[],
    requiredLimits: Object.fromEntries(raised.map((name) => [name, adapter.limits[name]])),
  };
}
