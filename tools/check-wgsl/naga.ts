import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";
import { findVulkanCpuDriver } from "../../test/support/vulkan-driver.js";
import type { KernelText } from "./kernel-texts.js";
import type { Verdict, WgslCompiler } from "./verdict.js";

const WORKER = fileURLToPath(new URL("./naga-worker.ts", import.meta.url));
const INSTALL = "install a Vulkan driver (Debian: mesa-vulkan-drivers), and npm package deno";

/** Naga, the compiler of Firefox and wgpu, through Deno. Skips everything where Deno has no adapter to validate for. */
export const naga: WgslCompiler = async (texts) => {
  const deno = denoLauncher();
  if (!deno) return skipAll(texts, `no Deno here: ${INSTALL}`);
  const driver = findVulkanCpuDriver("lavapipe");
  const flags = [
    "--quiet",
    "--no-config",
    "--no-lock",
    "--no-remote",
    "--no-check",
    "--unstable-webgpu",
    "--allow-read",
  ];
  const { status, stdout, stderr, error } = spawnSync(process.execPath, [deno, "run", ...flags, WORKER], {
    input: JSON.stringify(texts),
    encoding: "utf8",
    maxBuffer: 2 ** 28,
    env: { ...process.env, DENO_NO_UPDATE_CHECK: "1", ...(driver && { VK_ICD_FILENAMES: driver }) },
  });
  if (status !== 0) throw new Error(`Deno failed: ${error?.message ?? stderr}`);
  const verdicts = JSON.parse(stdout) as Verdict[] | null;
  return verdicts ?? skipAll(texts, `Deno has no WebGPU adapter: ${INSTALL}`);
};

/** The script that starts the npm package's binary. */
function denoLauncher(): string | undefined {
  try {
    const path = createRequire(import.meta.url).resolve("deno/bin.cjs");
    return existsSync(path) ? path : undefined;
  } catch {
    return undefined;
  }
}

function skipAll(texts: readonly KernelText[], message: string): Verdict[] {
  return texts.map(() => ({ status: "skipped", message }));
}
