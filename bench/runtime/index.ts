/**
 * `npm run bench:runtime`: what a language model's steps and its loading take, against bars, in one headless browser. Exit code 0: everything was
 * right and all bars are met, 1: not so, 2: wrong usage.
 */
import { existsSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { launchBrowser } from "../../tools/browser/launch-browser.js";
import { openPage } from "../../tools/browser/open-page.js";
import { startPageServer } from "../../tools/browser/page-server.js";
import { UsageError } from "../arguments.js";
import { bars, formatRuntime } from "./bars.js";
// The page's declaration of `window.runtime`.
import type {} from "./page.js";
import type { DescribedStep, ModelAddress, RecordingResult, RuntimeReport } from "./results.js";

const MIN_ROUNDS = 3;
const STEPS = 100;
const POSITIONS = [10, 2000] as const;
const DTYPES = ["stored", "f32", "q8", "q4"] as const;

const USAGE = `usage: npm run bench:runtime -- [--rounds N] [--json FILE]
  --rounds N   turns of what is compared, at least ${MIN_ROUNDS}; default 9
  --json FILE  also write everything there, samples included
  --help       this text`;

/** Isolated pages have clocks of 5 microseconds; others, of 100. */
const ISOLATION = {
  "Cross-Origin-Opener-Policy": "same-origin",
  "Cross-Origin-Embedder-Policy": "require-corp",
};

const ROOT = fileURLToPath(new URL("../..", import.meta.url));

/** Models of `demo/public/models` that are there. */
function shipped(...names: string[]): ModelAddress[] {
  return names
    .map((name) => ({
      name,
      folder: `demo/public/models/${name}/`,
      expected: `test/fixtures/${name}.safetensors`,
    }))
    .filter(({ folder }) => existsSync(`${ROOT}/${folder}`));
}

/** Where the trained one is not there yet, a tiny one of random weights: its kernels go through the same positions. */
function lightningModel(): ModelAddress {
  const folder = "test/fixtures/native/lm-lightning/";
  const tiny = { name: "lm-lightning (tiny, random)", folder, expected: `${folder}expected.safetensors` };
  return shipped("lm-lightning")[0] ?? tiny;
}

async function bench(rounds: number): Promise<RuntimeReport> {
  const server = await startPageServer({ name: "bench-runtime", headers: ISOLATION });
  try {
    const { browser } = await launchBrowser();
    try {
      const page = await openPage(browser, server.url("bench/runtime/page.html"), "runtime");
      const { adapter, software } = await page.evaluate(() => window.runtime.start());
      const models = shipped("lm-softmax", "lm-lightning", "lm-flow", "lm-moh-75", "lm-moh-50");
      const [softmax] = models as [ModelAddress, ...ModelAddress[]];
      const recordings: RecordingResult[] = [];
      const steps: DescribedStep[] = [];
      for (const model of models) {
        console.error(`${adapter}: a decode step of ${model.name}`);
        const given = [model, STEPS] as const;
        recordings.push(await page.evaluate((asked) => window.runtime.recording(...asked), given));
        for (const weights of model === softmax ? (["f32", "f16", "q4"] as const) : (["f32"] as const)) {
          const asked = [model, weights] as const;
          steps.push(await page.evaluate((described) => window.runtime.step(...described), asked));
        }
      }
      const lightning = lightningModel();
      console.error(`${lightning.name} at two positions`);
      const places = [lightning, POSITIONS, rounds] as const;
      const positions = await page.evaluate((asked) => window.runtime.positions(...asked), places);
      console.error("loading");
      const files = [softmax, DTYPES, rounds] as const;
      const loads = await page.evaluate((asked) => window.runtime.loads(...asked), files);
      return { date: new Date().toISOString(), adapter, software, recordings, positions, steps, loads };
    } finally {
      await browser.close();
    }
  } finally {
    await server.close();
  }
}

/** @throws UsageError */
function readArguments(args: readonly string[]): { rounds: number; json?: string } | "help" {
  const options = {
    rounds: { type: "string", default: "9" },
    json: { type: "string" },
    help: { type: "boolean" },
  } as const;
  let values: ReturnType<typeof parseArgs<{ options: typeof options }>>["values"];
  try {
    ({ values } = parseArgs({ args: [...args], options }));
  } catch (error) {
    throw new UsageError((error as Error).message);
  }
  if (values.help) return "help";
  const rounds = Number(values.rounds);
  if (!Number.isInteger(rounds) || rounds < MIN_ROUNDS)
    throw new UsageError(`--rounds is a whole number of at least ${MIN_ROUNDS}, not "${values.rounds}"`);
  return { rounds, ...(values.json && { json: values.json }) };
}

async function main(): Promise<number> {
  try {
    const args = readArguments(process.argv.slice(2));
    if (args === "help") {
      console.log(USAGE);
      return 0;
    }
    const report = await bench(args.rounds);
    console.log(formatRuntime(report));
    if (args.json)
      writeFileSync(args.json, `${JSON.stringify({ ...report, bars: bars(report) }, null, 2)}\n`);
    return bars(report).every(({ met }) => met) ? 0 : 1;
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    console.error(`${error.message}\n${USAGE}`);
    return 2;
  }
}

main().then(
  (code) => {
    process.exitCode = code;
  },
  (error: unknown) => {
    console.error(error instanceof Error ? error.message : error);
    process.exitCode = 1;
  },
);
