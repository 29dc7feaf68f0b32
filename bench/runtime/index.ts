/**
 * `npm run bench:runtime`: what a language model's steps and its loading take, against bars, in one headless browser. Exit code 0: everything was
 * right and all bars are met, 1: not so, 2: wrong usage.
 */
import { existsSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import type { Page } from "playwright";
import { ISOLATION, withPage } from "../../tools/browser/with-page.js";
import { readOptions, wholeNumber } from "../../tools/command/read-options.js";
import { runCommand } from "../../tools/command/run-command.js";
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

async function measure(page: Page, rounds: number): Promise<RuntimeReport> {
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
}

const OPTIONS = {
  rounds: { type: "string", default: "9" },
  json: { type: "string" },
  help: { type: "boolean", short: "h" },
} as const;

await runCommand(USAGE, async (args) => {
  const { values } = readOptions(args, { options: OPTIONS });
  if (values.help) return "help";
  const rounds = wholeNumber("--rounds", values.rounds, MIN_ROUNDS);
  const file = "bench/runtime/page.html";
  const served = { name: "bench-runtime", headers: ISOLATION, file, global: "runtime" };
  const report = await withPage(served, (page) => measure(page, rounds));
  console.log(formatRuntime(report));
  const rated = bars(report);
  if (values.json) writeFileSync(values.json, `${JSON.stringify({ ...report, bars: rated }, null, 2)}\n`);
  return rated.every(({ met }) => met);
});
