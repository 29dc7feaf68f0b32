import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { build } from "vite";
import { afterAll, beforeAll, expect, it } from "vitest";
import { kernelPlugin } from "../../src/build/kernel-plugin.js";
import { findVulkanCpuDriver } from "../support/vulkan-driver.js";

const HERE = import.meta.dirname;
const DENO = join(dirname(createRequire(import.meta.url).resolve("deno/package.json")), "bin.cjs");

let folder: string;
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "deno-"));
  await build({
    configFile: false,
    root: join(HERE, "../.."),
    logLevel: "error",
    plugins: [kernelPlugin()],
    build: {
      outDir: folder,
      emptyOutDir: false,
      lib: { entry: join(HERE, "runner.ts"), formats: ["es"], fileName: "runner" },
    },
  });
}, 60_000);
afterAll(() => rmSync(folder, { recursive: true }));

it("softmax attention is right under Naga, in f32 and f16", { timeout: 600_000 }, async (context) => {
  const driver = findVulkanCpuDriver("lavapipe");
  const flags = ["--quiet", "--no-lock", "--no-remote", "--no-config", "--unstable-webgpu", "--allow-read"];
  const stdout = await run([DENO, "run", ...flags, join(folder, "runner.js")], {
    ...(driver && { VK_ICD_FILENAMES: driver }),
    DENO_NO_UPDATE_CHECK: "1",
  });
  const { adapter, f16, passed, failures } = JSON.parse(stdout.trim().split("\n").at(-1)!);
  if (adapter === null)
    context.skip("Deno finds no WebGPU adapter: install a Vulkan driver (Debian: mesa-vulkan-drivers)");
  console.log(`${passed} checks on ${Object.values(adapter).join(" ")}, shader-f16: ${f16}`);
  expect(failures).toEqual([]);
  expect(passed).toBeGreaterThan(80);
});

function run(args: readonly string[], env: Record<string, string>): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, args, {
      cwd: folder,
      env: { ...process.env, ...env },
      stdio: ["ignore", "pipe", "pipe"],
    });
    let stdout = "";
    let stderr = "";
    child.stdout.on("data", (data) => {
      stdout += data;
    });
    child.stderr.on("data", (data) => {
      stderr += data;
    });
    child.on("error", reject);
    child.on("close", (code) =>
      code === 0 ? resolve(stdout) : reject(new Error(`Deno ended with ${code}:\n${stderr}`)),
    );
  });
}
