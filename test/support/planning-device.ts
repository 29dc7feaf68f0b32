import { minimumCapabilities } from "./capabilities.js";

interface PlanningDevice {
  readonly device: GPUDevice;
  readonly made: GPUBufferDescriptor[];
  /** Names of the calls that record, submit or make something, in their order. */
  readonly calls: string[];
}

/** A device that compiles nothing and computes nothing: plans on it are as they would be, in milliseconds, and buffers hold zeros. */
export function planningDevice(): PlanningDevice {
  const made: GPUBufferDescriptor[] = [];
  const calls: string[] = [];
  const nothing = () => ({});
  const noted = (name: string) => () => {
    calls.push(name);
    return {};
  };
  const device = {
    limits: minimumCapabilities({ maxStorageBuffersPerShaderStage: 10 }).limits,
    features: new Set(),
    lost: new Promise(() => {}),
    queue: {
      ...{ writeBuffer: noted("writeBuffer"), submit: noted("submit") },
      onSubmittedWorkDone: async () => {},
    },
    createBuffer(descriptor: GPUBufferDescriptor) {
      made.push(descriptor);
      calls.push("createBuffer");
      const { size, usage } = descriptor;
      return {
        ...{ size, usage, unmap: nothing, destroy: nothing },
        ...{ mapAsync: async () => void calls.push("mapAsync"), getMappedRange: () => new ArrayBuffer(size) },
      };
    },
    createBindGroup: noted("createBindGroup"),
    createCommandEncoder: () => ({
      ...{ copyBufferToBuffer: noted("copyBufferToBuffer"), finish: noted("finish") },
      beginComputePass() {
        calls.push("beginComputePass");
        return {
          setPipeline: nothing,
          setBindGroup: nothing,
          dispatchWorkgroups: noted("dispatch"),
          end: nothing,
        };
      },
    }),
    ...{ createBindGroupLayout: nothing, createPipelineLayout: nothing, createShaderModule: nothing },
    createComputePipelineAsync: async () => ({}),
    ...{ pushErrorScope: nothing, popErrorScope: async () => null },
  };
  return { device: device as unknown as GPUDevice, made, calls };
}
