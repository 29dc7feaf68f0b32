import { existsSync, readdirSync } from "node:fs";

/** What WebGPU runs on: the machine's own GPU, or SwiftShader on the CPU. */
export type AdapterKind = "gpu" | "swiftshader";

/** Chromium switches under which a page on localhost gets a WebGPU adapter of this kind, with or without a display; default the first to try. */
export function launchFlags(kind: AdapterKind = adapterKinds()[0]!): string[] {
  const flags = [
    "--enable-unsafe-webgpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
  ];
  // macOS and Windows reach the GPU through Metal and Direct3D; Vulkan is Linux's road and SwiftShader's.
  if (process.platform === "linux" || kind === "swiftshader") flags.push("--enable-features=Vulkan");
  if (kind === "swiftshader") flags.push("--use-webgpu-adapter=swiftshader");
  // Chromium's sandbox refuses to start for root, which is who runs in most containers.
  if (process.getuid?.() === 0) flags.push("--no-sandbox");
  return flags;
}

/**
 * Kinds of adapter to try, in order. A machine whose kernel shows no GPU goes straight to SwiftShader, because each failed try
 * costs a browser start. `WEBGPU_ADAPTER=gpu` or `WEBGPU_ADAPTER=swiftshader` decides instead.
 */
export function adapterKinds(): AdapterKind[] {
  const asked = process.env.WEBGPU_ADAPTER;
  if (asked === "gpu" || asked === "swiftshader") return [asked];
  if (asked) throw new Error(`WEBGPU_ADAPTER is "${asked}". Set it to "gpu" or "swiftshader", or unset it.`);
  return hasGpu() ? ["gpu", "swiftshader"] : ["swiftshader"];
}

function hasGpu(): boolean {
  if (process.platform !== "linux") return true;
  if (existsSync("/dev/nvidia0") || existsSync("/dev/dxg")) return true;
  return existsSync("/dev/dri") && readdirSync("/dev/dri").some((node) => node.startsWith("renderD"));
}
