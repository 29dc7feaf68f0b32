import { AttentionContext } from "webgpu-attention";
import { calmPolling } from "../../test/support/calm-polling.js";
import { findVulkanCpuDriver } from "../../test/support/vulkan-driver.js";
import { type AdapterKind, adapterKinds } from "../browser/launch-flags.js";

/** Kept for the life of the process: Dawn crashes when its instance is collected before its devices. */
const instances: GPU[] = [];

/**
 * A context on this machine's GPU, or where there is none on a Vulkan driver for the CPU. `WEBGPU_ADAPTER=gpu` or `swiftshader` decides instead,
 * `VK_ICD_FILENAMES` names another driver.
 *
 * @throws Error where there is neither
 */
export async function openContext(): Promise<AttentionContext> {
  const { create, globals } = await import("webgpu");
  Object.assign(globalThis, globals);
  calmPolling();
  for (const kind of adapterKinds()) {
    const adapter = await adapterOf(kind, create);
    if (adapter)
      return AttentionContext.create(await adapter.requestDevice(AttentionContext.requirements(adapter)));
  }
  throw new Error(
    "no WebGPU here: install a Vulkan driver for a GPU, or one for the CPU (Debian: chromium or mesa-vulkan-drivers)",
  );
}

async function adapterOf(kind: AdapterKind, create: (options: string[]) => GPU): Promise<GPUAdapter | null> {
  const driver =
    kind === "swiftshader" ? (findVulkanCpuDriver() ?? findVulkanCpuDriver("lavapipe")) : undefined;
  if (driver) process.env.VK_ICD_FILENAMES = driver;
  const gpu = create([]);
  instances.push(gpu);
  return gpu.requestAdapter();
}

/** What the numbers were computed on, in words. */
export function deviceName({ capabilities: { adapter, software } }: AttentionContext): string {
  const { vendor, architecture, description } = adapter;
  const name = [vendor, architecture].filter(Boolean).join(" ") || description || "WebGPU";
  return software ? `${name}, a driver for the CPU` : name;
}
