import { AttentionContext } from "../../src/index.js";
import { calmPolling } from "./calm-polling.js";

let gpu: GPU | undefined;

/** `navigator.gpu` in a browser; Dawn of npm `webgpu` in Node. */
export async function testGpu(): Promise<GPU> {
  if (gpu) return gpu;
  if (typeof process === "undefined") {
    gpu = navigator.gpu;
  } else {
    const { findVulkanCpuDriver } = await import("./vulkan-driver.js");
    const driver = findVulkanCpuDriver();
    if (driver) process.env.VK_ICD_FILENAMES = driver;
    const { create, globals } = await import("webgpu");
    Object.assign(globalThis, globals);
    // Kept for the life of the process: Dawn crashes when its instance is collected before its devices.
    gpu = create([]);
    calmPolling();
  }
  return gpu;
}

/** A fresh device, with everything the adapter has unless `descriptor` asks for less. */
export async function testDevice(descriptor?: GPUDeviceDescriptor): Promise<GPUDevice> {
  const adapter = await (await testGpu()).requestAdapter();
  if (!adapter) throw new Error("no WebGPU adapter for the tests; see CONTRIBUTING.md");
  return adapter.requestDevice(descriptor ?? AttentionContext.requirements(adapter));
}

let shared: Promise<AttentionContext> | undefined;

/** One context for a whole test file: pipelines compile once. Scratch is filled with NaN. */
export function testContext(): Promise<AttentionContext> {
  shared ??= testDevice()
    .then((device) => AttentionContext.create(device))
    .then((context) => {
      context.fillScratch(Number.NaN);
      return context;
    });
  return shared;
}
