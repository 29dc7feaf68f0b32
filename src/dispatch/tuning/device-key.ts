import type { Capabilities } from "../capabilities.js";

/**
 * What a measured choice depends on besides the kernels: the adapter, its driver (adapters name its version in their
 * description; the browser's or runtime's version stands for the shader compiler), and what the device was requested with.
 */
export function deviceKey({ adapter, f16, subgroups, subgroupSizes, limits }: Capabilities): string {
  const { vendor, architecture, device, description } = adapter;
  const { maxComputeWorkgroupStorageSize, maxComputeInvocationsPerWorkgroup } = limits;
  return [
    [vendor, architecture, device, description].join("/"),
    runtime(),
    f16 ? "f16" : "no f16",
    subgroups ? `subgroups ${subgroupSizes.join("-")}` : "no subgroups",
    `${maxComputeInvocationsPerWorkgroup} threads`,
    `${maxComputeWorkgroupStorageSize} bytes`,
  ].join("; ");
}

function runtime(): string {
  const { navigator, process } = globalThis as {
    navigator?: { userAgent?: string };
    process?: { version?: string; platform?: string; arch?: string };
  };
  const node = process?.version ? `Node ${process.version} ${process.platform} ${process.arch}` : "unknown";
  return navigator?.userAgent ?? node;
}
