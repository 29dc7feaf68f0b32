import { cpuUsage } from "node:process";

/**
 * Milliseconds of processor time that this process takes until `work` is done, all of the driver's threads together. Not by the
 * clock: llvmpipe gives each thread one share of a dispatch's workgroups, neighbours all, so that causal attention, whose last rows are
 * long, and a list of sampled rows, behind which workgroups are empty, leave cores idle that a block mask keeps busy.
 */
export async function processorTime(work: () => Promise<unknown>): Promise<number> {
  const before = cpuUsage();
  await work();
  const { user, system } = cpuUsage(before);
  return (user + system) / 1000;
}
