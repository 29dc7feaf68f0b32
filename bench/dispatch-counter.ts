/**
 * Counts the compute dispatches that anything on the page makes while `work` runs. A library that quietly computes on the
 * CPU shows here, whatever device its output lies on.
 */
export async function countDispatches(work: () => Promise<void>): Promise<number> {
  let count = 0;
  const { prototype } = GPUComputePassEncoder;
  const { dispatchWorkgroups, dispatchWorkgroupsIndirect } = prototype;
  prototype.dispatchWorkgroups = function (...size) {
    count++;
    return dispatchWorkgroups.apply(this, size);
  };
  prototype.dispatchWorkgroupsIndirect = function (...source) {
    count++;
    return dispatchWorkgroupsIndirect.apply(this, source);
  };
  try {
    await work();
  } finally {
    Object.assign(prototype, { dispatchWorkgroups, dispatchWorkgroupsIndirect });
  }
  return count;
}
