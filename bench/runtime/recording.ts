/** How a language model labels its command encoders. */
const LABEL = "language model";

/**
 * Milliseconds that JavaScript spends on each command buffer of a language model while `work` runs: from `createCommandEncoder` to the return of
 * `submit`, without the GPU's own time.
 */
export async function timeRecordings(work: () => Promise<void>): Promise<number[]> {
  const samples: number[] = [];
  let started: number | undefined;
  const [devices, queues] = [GPUDevice.prototype, GPUQueue.prototype];
  const { createCommandEncoder } = devices;
  const { submit } = queues;
  devices.createCommandEncoder = function (descriptor) {
    if (descriptor?.label === LABEL) started = performance.now();
    return createCommandEncoder.call(this, descriptor);
  };
  queues.submit = function (buffers) {
    submit.call(this, buffers);
    if (started !== undefined) samples.push(performance.now() - started);
    started = undefined;
    return undefined;
  };
  try {
    await work();
  } finally {
    Object.assign(devices, { createCommandEncoder });
    Object.assign(queues, { submit });
  }
  return samples;
}
