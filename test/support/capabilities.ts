import type { Capabilities, CapabilityLimits } from "../../src/index.js";

/** WebGPU's guaranteed minimum and no optional feature: what every device has. */
export function minimumCapabilities(limits: Partial<CapabilityLimits> = {}): Capabilities {
  return {
    f16: false,
    subgroups: false,
    timestamps: false,
    dot4: false,
    subgroupSizes: [4, 128],
    adapter: { vendor: "", architecture: "", device: "", description: "" },
    software: false,
    limits: {
      maxBufferSize: 268_435_456,
      maxStorageBufferBindingSize: 134_217_728,
      maxStorageBuffersPerShaderStage: 8,
      minStorageBufferOffsetAlignment: 256,
      maxComputeWorkgroupStorageSize: 16_384,
      maxComputeInvocationsPerWorkgroup: 256,
      maxComputeWorkgroupSizeX: 256,
      maxComputeWorkgroupsPerDimension: 65_535,
      ...limits,
    },
  };
}
