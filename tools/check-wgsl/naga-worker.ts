/**
 * Runs in Deno, whose WebGPU is wgpu with Naga, the compiler of Firefox. Reads `KernelText[]` as JSON from stdin and
 * writes `Verdict[]`, or null when there is no adapter: wgpu validates WGSL only for a device.
 */
import { readFileSync } from "node:fs";
import type { KernelText } from "./kernel-texts.js";
import type { Verdict } from "./verdict.js";

async function check(device: GPUDevice, { code, enables }: KernelText): Promise<Verdict> {
  if (enables.includes("subgroups")) return { status: "skipped", message: "Naga refuses `enable subgroups`" };
  if (enables.includes("f16") && !device.features.has("shader-f16")) {
    return { status: "skipped", message: "this driver has no f16" };
  }
  device.pushErrorScope("validation");
  device.createShaderModule({ code });
  const error = await device.popErrorScope();
  return error ? { status: "failed", message: error.message.trim() } : { status: "passed" };
}

const adapter = await navigator.gpu?.requestAdapter();
let verdicts: Verdict[] | null = null;
if (adapter) {
  const f16: GPUFeatureName = "shader-f16";
  const device = await adapter.requestDevice({ requiredFeatures: adapter.features.has(f16) ? [f16] : [] });
  verdicts = [];
  for (const text of JSON.parse(readFileSync(0, "utf8")) as KernelText[])
    verdicts.push(await check(device, text));
}
console.log(JSON.stringify(verdicts));
