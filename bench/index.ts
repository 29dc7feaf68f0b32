/**
 * `npm run bench -- --suite prefill,decode --against onnxruntime-web,jax-js`: measures this project and others on the same
 * problems, in one headless browser. Exit code 0: ours was right in every row, 1: it was not, 2: wrong usage.
 */
import { readFileSync, writeFileSync } from "node:fs";
import type { Page } from "playwright";
import { launchBrowser } from "../tools/browser/launch-browser.js";
import { openPage } from "../tools/browser/open-page.js";
import { startPageServer } from "../tools/browser/page-server.js";
import { type BenchArguments, readArguments, USAGE, UsageError } from "./arguments.js";
import type { ContenderName } from "./contender.js";
import { findSuites } from "./find-suites.js";
// The page's declaration of `window.bench`.
import type {} from "./page.js";
import { type BenchReport, formatReport, oursIsRight, reportAsJson } from "./report.js";
import type { RowResult } from "./results.js";
import { groupRows, rowName } from "./suite.js";

const PACKAGES: Readonly<Record<ContenderName, string>> = {
  ours: "..",
  "onnxruntime-web": "../node_modules/onnxruntime-web",
  "jax-js": "../node_modules/@jax-js/jax",
};

/** Isolated pages have clocks of 5 microseconds; others, of 100. */
const ISOLATION = {
  "Cross-Origin-Opener-Policy": "same-origin",
  "Cross-Origin-Embedder-Policy": "require-corp",
};

async function bench(args: BenchArguments): Promise<BenchReport> {
  const server = await startPageServer({ name: "bench", headers: ISOLATION });
  try {
    const { browser } = await launchBrowser();
    try {
      const page = await openPage(browser, server.url("bench/page.html"), "bench");
      return await measure(page, args);
    } finally {
      await browser.close();
    }
  } finally {
    await server.close();
  }
}

async function measure(page: Page, { rows, peers, rounds, tuning }: BenchArguments): Promise<BenchReport> {
  const start = await page.evaluate((options) => window.bench.start(options), {
    peers,
    ...(tuning && { tuning }),
  });
  progress(`${start.adapter}: plain f32 matmul`);
  const matmul = await page.evaluate((count) => window.bench.measureMatmul(count), rounds);
  const results: RowResult[] = [];
  for (const group of groupRows(rows)) {
    progress(group.map(rowName).join(", "));
    const given = [group, rounds] as const;
    results.push(...(await page.evaluate(([what, count]) => window.bench.measure(what, count), given)));
  }
  return {
    date: new Date().toISOString(),
    versions: Object.fromEntries((["ours", ...peers] as const).map((name) => [name, versionOf(name)])),
    start,
    rounds,
    ...(tuning && { tuning }),
    matmul,
    rows: results,
  };
}

/** What is being measured goes to stderr: stdout is the report alone. */
function progress(what: string): void {
  console.error(`measuring ${what}`);
}

function versionOf(name: ContenderName): string {
  const file = new URL(`${PACKAGES[name]}/package.json`, import.meta.url);
  return (JSON.parse(readFileSync(file, "utf8")) as { version: string }).version;
}

async function main(): Promise<number> {
  let args: BenchArguments | undefined;
  try {
    args = readArguments(process.argv.slice(2), await findSuites());
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    console.error(`${error.message}\n${USAGE}`);
    return 2;
  }
  if (!args) {
    console.log(USAGE);
    return 0;
  }
  const report = await bench(args);
  console.log(formatReport(report));
  if (args.json) writeFileSync(args.json, reportAsJson(report));
  return oursIsRight(report) ? 0 : 1;
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
