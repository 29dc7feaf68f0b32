import { minimumCapabilities } from "./capabilities.js";

/** A device that compiles nothing and computes nothing: plans on it are as they would be, in milliseconds. */
export function planningDevice(): { readonly device: GPUDevice; readonly made: GPUBufferDescriptor[] } {
  const made: GPUBufferDescriptor[] = [];
  const nothing = () => ({});
  const device = {
    limits: minimumCapabilities({ maxStorageBuffersPerShaderStage: 10 }).limits,
    features: new Set(),
    lost: new Promise(() => {}),
    queue: { writeBuffer: nothing },
    createBuffer(descriptor: GPUBufferDescriptor) {
      made.push(descriptor);
      const { size, usage } = descriptor;
      return { size, usage, getMappedRange: () => new ArrayBuffer(size), unmap: nothing, destroy: nothing };
    },
    ...{ createBindGroupLayout: nothing, createPipelineLayout: nothing, createShaderModule: nothing },
    createComputePipelineAsync: async () => ({}),
    ...{ pushErrorScope: nothing, popErrorScope: async () => null },
  };
  return { device: device as unknown as GPUDevice, made };
}
