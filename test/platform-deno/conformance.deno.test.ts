import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { build } from "vite";
import { afterAll, beforeAll, describe, expect, it, type TestContext } from "vitest";
import { kernelPlugin } from "../../src/build/kernel-plugin.js";
import { findVulkanCpuDriver } from "../support/vulkan-driver.js";
import type { CaseChecks } from "./attempts.js";
import type { Part, Report } from "./runner.js";
import type { Family, SoftmaxChecks } from "./softmax-checks.js";
import type { TuningCheck } from "./tuning-check.js";

const HERE = import.meta.dirname;
const GOLDEN = join(HERE, "../golden");
const DENO = join(dirname(createRequire(import.meta.url).resolve("deno/package.json")), "bin.cjs");

let folder: string;
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "deno-"));
  await build({
    configFile: false,
    root: join(HERE, "../.."),
    logLevel: "error",
    plugins: [kernelPlugin()],
    resolve: { tsconfigPaths: true },
    build: {
      outDir: folder,
      emptyOutDir: false,
      lib: { entry: join(HERE, "runner.ts"), formats: ["es"], fileName: "runner" },
    },
  });
}, 60_000);
afterAll(() => rmSync(folder, { recursive: true }));

// llvmpipe compiles in one thread, so the parts run beside each other.
describe.concurrent("under Naga", { timeout: 600_000 }, () => {
  it.for<Family>(["shared", "registers"])(
    "softmax attention is right in f32 and f16, %s",
    async (family, context) => {
      const { adapter, f16, result } = await run<SoftmaxChecks>(family, context);
      console.log(`${family}: ${result.passed} checks on ${adapter}, shader-f16: ${f16}`);
      expect(result.failures).toEqual([]);
      expect(result.passed).toBeGreaterThan(35);
      // Elsewhere the feature may be missing; llvmpipe has it.
      if (/llvmpipe/.test(adapter)) expect(f16).toBe(true);
      expect(result.f16.checks).toBeGreaterThan(3);
      if (f16) expect(result.f16.variants).toBe(result.f16.checks);
    },
  );

  it.for<[Part, number]>([
    ["linear", 25],
    ["flow", 21],
    ["agent", 16],
    ["sale", 12],
    ["moh", 18],
    ["masks", 24],
    ["calibration", 10],
  ])("%s: right in f32 and f16", async ([part, least], context) => {
    const { adapter, result } = await run<CaseChecks>(part, context);
    console.log(`${part}: ${result.passed} checks on ${adapter}`);
    expect(result.failures).toEqual([]);
    expect(result.passed).toBeGreaterThanOrEqual(least);
  });

  it("measuring drops no candidate, and plans take the winner", async (context) => {
    const { result } = await run<TuningCheck>("tuning", context);
    expect(result.dropped).toEqual([]);
    expect(result.measured).toBeGreaterThan(0);
    expect(result.planned).toBe(result.winner);
  });
});

/** Runs a part of the checks in a Deno of its own; skips the test where Deno has no adapter. */
async function run<Result extends SoftmaxChecks | TuningCheck | CaseChecks>(
  part: Part,
  context: TestContext,
): Promise<{ adapter: string; f16: boolean; result: Result }> {
  const driver = findVulkanCpuDriver("lavapipe");
  const flags = ["--quiet", "--no-lock", "--no-remote", "--no-config", "--unstable-webgpu", "--allow-read"];
  const stdout = await output([DENO, "run", ...flags, join(folder, "runner.js"), part, GOLDEN], {
    ...(driver && { VK_ICD_FILENAMES: driver }),
    DENO_NO_UPDATE_CHECK: "1",
  });
  const { adapter, f16, result } = JSON.parse(stdout.trim().split("\n").at(-1)!) as Report<Result>;
  if (adapter === null || f16 === undefined || result === undefined)
    return context.skip(
      "Deno finds no WebGPU adapter: install a Vulkan driver (Debian: mesa-vulkan-drivers)",
    );
  return { adapter, f16, result };
}

function output(args: readonly string[], env: Record<string, string>): Promise<string> {
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
