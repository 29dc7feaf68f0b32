import { vi } from "vitest";
import type { SoftmaxConfiguration, SoftmaxProblem } from "../../kernels/softmax/index.js";

/** Rolled loops compile fast; what is tested is the measuring. */
export const CANDIDATES: readonly SoftmaxConfiguration[] = [
  { kernel: "tiled", groups: 8, lanes: 4, rows: 2, keys: 4, staged: false, f16: false },
  { kernel: "rows", threads: 8, rows: 2, keys: 8, columns: 4, subgroups: false, unroll: false, f16: false },
  { kernel: "rows", threads: 8, rows: 2, keys: 12, columns: 4, subgroups: false, unroll: false, f16: false },
  { kernel: "split", threads: 16, keysPerSplit: 100, f16: false },
];

const layout = { dtype: "f32", shape: [1, 64, 2, 16] } as const;
export const PROBLEM: SoftmaxProblem = { q: layout, k: layout, v: layout, causal: true };

/** Changes the text of the kernels that have the mark in theirs: a driver's bug. `vi.restoreAllMocks` repairs it. */
export function breakKernels(device: GPUDevice, mark: string, change: (code: string) => string): void {
  const original = device.createShaderModule.bind(device);
  vi.spyOn(device, "createShaderModule").mockImplementation((descriptor) =>
    original(descriptor.code.includes(mark) ? { ...descriptor, code: change(descriptor.code) } : descriptor),
  );
}

/** Watches the device; gives labels, sizes and usages of buffers that were made since and not destroyed. */
export function livingBuffers(device: GPUDevice): () => string[] {
  const living = new Map<GPUBuffer, string>();
  const create = device.createBuffer.bind(device);
  vi.spyOn(device, "createBuffer").mockImplementation((descriptor) => {
    const buffer = create(descriptor);
    const destroy = buffer.destroy.bind(buffer);
    buffer.destroy = () => {
      living.delete(buffer);
      return destroy();
    };
    living.set(buffer, `${descriptor.label ?? ""} ${descriptor.size} bytes, usage ${descriptor.usage}`);
    return buffer;
  });
  return () => [...living.values()];
}
