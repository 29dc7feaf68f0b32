/**
 * `npm run bench:sale -- --speed synthetic:16384,language:16384:0.02 --quality synthetic,language`: SALE in Deno against
 * dense attention, and its blocks against other choices of blocks. Writes an HTML report beside the figures.
 */
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "vite";
import { kernelPlugin } from "../../src/build/kernel-plugin.js";
import { findVulkanCpuDriver } from "../../test/support/vulkan-driver.js";
import { readOptions, wholeNumber } from "../../tools/command/read-options.js";
import { runCommand } from "../../tools/command/run-command.js";
import { qualityPlot } from "./plot.js";
import type { QualityCurve } from "./quality.js";
import { htmlReport, speedTable } from "./report.js";
import type { RunnerReport, RunnerTask } from "./runner.js";
import type { SpeedRow } from "./speed.js";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const DENO = join(dirname(createRequire(import.meta.url).resolve("deno/package.json")), "bin.cjs");
const QUALITY_TOKENS = 4096;

const SPEED = "synthetic:16384,language:16384,language:16384:0.02,synthetic:65536";

const USAGE = `usage: npm run bench:sale -- [--speed LIST] [--quality LIST] [--rounds N] [--json FILE] [--html FILE]
  --speed LIST    comma list of INPUT:TOKENS[:START]; INPUT is synthetic or language, START the threshold that
                  calibration begins with (default the published 0.008)
                  default ${SPEED} (an hour on two cores)
  --quality LIST  comma list of inputs whose curves are drawn, on ${QUALITY_TOKENS} tokens; default synthetic,language
  --rounds N      turns of dense attention, selection and attention; default 3
  --json FILE     also write everything there
  --html FILE     report; default bench-sale.html`;

type Input = RunnerTask["input"];

const OPTIONS = {
  speed: { type: "string", default: SPEED },
  quality: { type: "string", default: "synthetic,language" },
  rounds: { type: "string", default: "3" },
  json: { type: "string" },
  html: { type: "string", default: "bench-sale.html" },
  help: { type: "boolean", short: "h" },
} as const;

async function bench(args: readonly string[]): Promise<true | "help"> {
  const { values } = readOptions(args, { options: OPTIONS });
  if (values.help) return "help";
  const rounds = wholeNumber("--rounds", values.rounds, 1);
  const list = (text: string) => text.split(",").filter((item) => item !== "");
  const folder = await builtRunner();
  try {
    const speed: SpeedRow[] = [];
    let adapter = "";
    const run = async (task: Omit<RunnerTask, "root" | "rounds">) => {
      const report = await runTask(folder, { ...task, root: ROOT, rounds });
      if (report.adapter === null)
        throw new Error("Deno finds no WebGPU adapter (Debian: mesa-vulkan-drivers)");
      adapter = report.adapter;
      return report.result;
    };
    for (const item of list(values.speed)) {
      const [input, size, start] = item.split(":") as [Input, string, string?];
      const tokens = Number(size);
      // Dense attention of 16,384 tokens takes half a minute on two cores, of 65,536 sixteen times as long.
      const each = tokens > 32_768 ? 32 : tokens > 8192 ? 8 : 1;
      const task = { kind: "speed", input, tokens, each, ...(start && { start: Number(start) }) } as const;
      speed.push((await run(task)) as SpeedRow);
      console.log(speedTable(speed.slice(-1)));
    }
    const curves: { input: Input; curves: QualityCurve[] }[] = [];
    for (const input of list(values.quality) as Input[])
      curves.push({
        input,
        curves: (await run({ kind: "quality", input, tokens: QUALITY_TOKENS, each: 1 })) as QualityCurve[],
      });
    const plots = curves.map((entry) =>
      qualityPlot(`${entry.input}, ${QUALITY_TOKENS} tokens`, entry.curves),
    );
    const date = new Date().toISOString();
    writeFileSync(values.html, htmlReport({ date, adapter, speed, plots }));
    if (values.json)
      writeFileSync(values.json, `${JSON.stringify({ date, adapter, speed, curves }, null, 2)}\n`);
    console.log(`${adapter}\n${speedTable(speed)}`);
    return true;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

async function builtRunner(): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), "bench-sale-"));
  await build({
    configFile: false,
    root: ROOT,
    logLevel: "error",
    plugins: [kernelPlugin()],
    build: {
      outDir: folder,
      emptyOutDir: false,
      lib: { entry: join(import.meta.dirname, "runner.ts"), formats: ["es"], fileName: "runner" },
      rolldownOptions: { external: [/^node:/] },
    },
  });
  return folder;
}

function runTask(folder: string, task: RunnerTask): Promise<RunnerReport> {
  const driver = findVulkanCpuDriver("lavapipe");
  const flags = ["--quiet", "--no-lock", "--no-remote", "--no-config", "--unstable-webgpu", "--allow-read"];
  return new Promise((resolve, reject) => {
    const child = spawn(
      process.execPath,
      [DENO, "run", ...flags, join(folder, "runner.js"), JSON.stringify(task)],
      {
        cwd: folder,
        env: { ...process.env, ...(driver && { VK_ICD_FILENAMES: driver }), DENO_NO_UPDATE_CHECK: "1" },
        stdio: ["ignore", "pipe", "inherit"],
      },
    );
    let stdout = "";
    child.stdout.on("data", (data) => {
      stdout += data;
    });
    child.on("error", reject);
    child.on("close", (code) => {
      if (code === 0) resolve(JSON.parse(stdout.trim().split("\n").at(-1)!) as RunnerReport);
      else reject(new Error(`Deno ended with ${code}`));
    });
  });
}

await runCommand(USAGE, bench);
