import { AttentionContext } from "webgpu-attention";
import { PageFailure } from "./page-failure.js";

export interface OpenedDevice {
  readonly device: GPUDevice;
  /** As people read it: `"google swiftshader (software)"`. */
  readonly adapterName: string;
}

/** A device with all that kernels can use, in a page or a worker. @throws PageFailure "no-webgpu" or "no-adapter" */
export async function openDevice(): Promise<OpenedDevice> {
  if (navigator.gpu === undefined) throw new PageFailure("no-webgpu", "navigator.gpu is missing.");
  const adapter = await navigator.gpu.requestAdapter({ powerPreference: "high-performance" });
  if (adapter === null) throw new PageFailure("no-adapter", "requestAdapter() gave null.");
  const device = await adapter.requestDevice(AttentionContext.requirements(adapter));
  return { device, adapterName: nameOf(adapter.info) };
}

function nameOf({ vendor, architecture, description, isFallbackAdapter }: GPUAdapterInfo): string {
  const name = description || `${vendor} ${architecture}`.trim() || "unnamed adapter";
  return isFallbackAdapter ? `${name} (software)` : name;
}
