/**
 * `npm run bench -- --suite prefill,decode --against onnxruntime-web,jax-js`: measures this project and others on the same
 * problems, in one headless browser. Exit code 0: ours was right in every row, 1: it was not, 2: wrong usage.
 */
import { writeFileSync } from "node:fs";
import type { Page } from "playwright";
import { ISOLATION, withPage } from "../tools/browser/with-page.js";
import { runCommand } from "../tools/command/run-command.js";
import { type BenchArguments, readArguments, USAGE } from "./arguments.js";
import type { ContenderName } from "./contender.js";
import { findSuites } from "./find-suites.js";
import { packageVersion } from "./package-version.js";
// The page's declaration of `window.bench`.
import type {} from "./page.js";
import { type BenchReport, formatReport, oursIsRight, reportAsJson } from "./report.js";
import type { RowResult } from "./results.js";
import { groupRows, rowName } from "./suite.js";

/** What is measured, as it is installed; ours is this one. */
const PACKAGES: Readonly<Record<ContenderName, string | undefined>> = {
  ours: undefined,
  "onnxruntime-web": "onnxruntime-web",
  "jax-js": "@jax-js/jax",
};

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
    versions: Object.fromEntries(
      (["ours", ...peers] as const).map((name) => [name, packageVersion(PACKAGES[name])]),
    ),
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

await runCommand(USAGE, async (given) => {
  const args = readArguments(given, await findSuites());
  if (args === "help") return "help";
  const served = { name: "bench", headers: ISOLATION, file: "bench/page.html", global: "bench" };
  const report = await withPage(served, (page) => measure(page, args));
  console.log(formatReport(report));
  if (args.json) writeFileSync(args.json, reportAsJson(report));
  return oursIsRight(report);
});
