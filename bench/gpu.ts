/** A fresh device of the page's adapter. An adapter gives one device only, hence a new one each time. */
export async function requestDevice(
  descriptorFor: (adapter: GPUAdapter) => GPUDeviceDescriptor = () => ({}),
): Promise<GPUDevice> {
  const adapter = await navigator.gpu?.requestAdapter();
  if (!adapter) throw new Error("this browser has no WebGPU adapter");
  return adapter.requestDevice(descriptorFor(adapter));
}

/** A buffer that kernels may read and write, with these numbers in it. */
export function uploadFloats(device: GPUDevice, data: Float32Array<ArrayBuffer>): GPUBuffer {
  const usage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST;
  const buffer = device.createBuffer({ size: data.byteLength, usage });
  device.queue.writeBuffer(buffer, 0, data);
  return buffer;
}

export function fillWithNaN(device: GPUDevice, buffer: GPUBuffer): void {
  device.queue.writeBuffer(buffer, 0, new Float32Array(buffer.size / 4).fill(Number.NaN));
}

export async function readFloats(device: GPUDevice, buffer: GPUBuffer): Promise<Float32Array> {
  const { size } = buffer;
  const readable = device.createBuffer({ size, usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST });
  try {
    const encoder = device.createCommandEncoder();
    encoder.copyBufferToBuffer(buffer, 0, readable, 0, size);
    device.queue.submit([encoder.finish()]);
    await readable.mapAsync(GPUMapMode.READ);
    return new Float32Array(readable.getMappedRange().slice(0));
  } finally {
    readable.destroy();
  }
}
