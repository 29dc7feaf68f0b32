/**
 * `npm run bench:mechanisms -- --mechanism linear,flow --filter causal`: time per row, and speedups over softmax attention and over
 * other libraries, in one headless browser. Exit code 0: everything was right, 1: something was not, 2: wrong usage.
 */
import { writeFileSync } from "node:fs";
import type { Page } from "playwright";
import { ISOLATION, withPage } from "../../tools/browser/with-page.js";
import { readOptions, wholeNumber } from "../../tools/command/read-options.js";
import { runCommand } from "../../tools/command/run-command.js";
import { UsageError } from "../../tools/command/usage-error.js";
import { packageVersion } from "../package-version.js";
// The page's declaration of `window.mechanisms`.
import type {} from "./page.js";
import { compareEntry, everythingIsRight, formatReport, type MechanismsReport } from "./report.js";
import type { MechanismRowResult } from "./results.js";

const MIN_ROUNDS = 3;

const USAGE = `usage: npm run bench:mechanisms -- [--mechanism NAMES] [--filter TEXT] [--rounds N] [--no-peers] [--json FILE]
  --mechanism NAMES  comma list of folders in kernels that have a bench.ts; default all
  --filter TEXT      only rows whose name contains TEXT
  --rounds N         turns of every entry, at least ${MIN_ROUNDS}; default ${MIN_ROUNDS}
  --no-peers         without other libraries
  --json FILE        also write everything there, samples included
  --help             this text`;

interface Arguments {
  readonly mechanisms?: readonly string[];
  readonly filter: string;
  readonly rounds: number;
  readonly peers: boolean;
  readonly json?: string;
}

async function measure(page: Page, args: Arguments): Promise<MechanismsReport> {
  const { peers, rounds } = args;
  const start = await page.evaluate((options) => window.mechanisms.start(options), { peers });
  const known = [...new Set(start.rows.map(({ mechanism }) => mechanism))].sort();
  for (const name of args.mechanisms ?? [])
    if (!known.includes(name))
      throw new UsageError(`--mechanism: no "${name}"; there are ${known.join(", ")}`);
  const chosen = start.rows.filter(
    ({ mechanism, name }) => (args.mechanisms ?? known).includes(mechanism) && name.includes(args.filter),
  );
  if (chosen.length === 0) throw new UsageError(`no row has "${args.filter}" in its name`);
  console.error(`${start.adapter}: plain f32 matmul`);
  await page.evaluate((count) => window.mechanisms.measureMatmul(count), rounds);
  const rows: MechanismRowResult[] = [];
  for (const row of chosen) {
    console.error(`measuring ${row.mechanism}: ${row.name}`);
    const given = [row, rounds] as const;
    rows.push(await page.evaluate(([what, count]) => window.mechanisms.measure(what, count), given));
  }
  const versions = {
    ours: packageVersion(),
    ...(peers && { "onnxruntime-web": packageVersion("onnxruntime-web") }),
  };
  const { adapter, software } = start;
  return { date: new Date().toISOString(), adapter, software, rounds, versions, rows };
}

const OPTIONS = {
  mechanism: { type: "string" },
  filter: { type: "string", default: "" },
  rounds: { type: "string", default: String(MIN_ROUNDS) },
  "no-peers": { type: "boolean" },
  json: { type: "string" },
  help: { type: "boolean", short: "h" },
} as const;

/** @throws UsageError */
function readArguments(args: readonly string[]): Arguments | "help" {
  const { values } = readOptions(args, { options: OPTIONS });
  if (values.help) return "help";
  return {
    ...(values.mechanism && { mechanisms: values.mechanism.split(",") }),
    filter: values.filter,
    rounds: wholeNumber("--rounds", values.rounds, MIN_ROUNDS),
    peers: !values["no-peers"],
    ...(values.json && { json: values.json }),
  };
}

await runCommand(USAGE, async (given) => {
  const args = readArguments(given);
  if (args === "help") return "help";
  const file = "bench/mechanisms/page.html";
  const served = { name: "bench-mechanisms", headers: ISOLATION, file, global: "mechanisms" };
  const report = await withPage(served, (page) => measure(page, args));
  console.log(formatReport(report));
  const rows = report.rows.map((row) => ({
    ...row,
    entries: row.entries.map((entry) => ({ ...entry, ...compareEntry(row, entry) })),
  }));
  if (args.json) writeFileSync(args.json, `${JSON.stringify({ ...report, rows }, null, 2)}\n`);
  return everythingIsRight(report);
});
