import type { Capabilities } from "../capabilities.js";

/**
 * What a measured choice depends on besides the kernels: the adapter, its driver, and what the device was requested with. Some
 * runtimes name the driver's version in the adapter's description; browsers hide it, and their own version, which changes every
 * few weeks and brings the shader compiler, has to stand for both.
 */
export function deviceKey({ adapter, f16, subgroups, subgroupSizes, limits }: Capabilities): string {
  const { vendor, architecture, device, description } = adapter;
  return [
    [vendor, architecture, device, description].join("/"),
    runtime(),
    f16 ? "f16" : "no f16",
    subgroups ? `subgroups ${subgroupSizes.join("-")}` : "no subgroups",
    `${limits.maxComputeInvocationsPerWorkgroup} threads`,
    `${limits.maxComputeWorkgroupStorageSize} bytes`,
    `bindings of ${limits.maxStorageBufferBindingSize}`,
    `buffers of ${limits.maxBufferSize}`,
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
