/**
 * `npm run bench:mechanisms -- --mechanism linear,flow --filter causal`: time per row, and speedups over softmax attention and over
 * other libraries, in one headless browser. Exit code 0: everything was right, 1: something was not, 2: wrong usage.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { launchBrowser } from "../../tools/browser/launch-browser.js";
import { openPage } from "../../tools/browser/open-page.js";
import { startPageServer } from "../../tools/browser/page-server.js";
import { UsageError } from "../arguments.js";
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

/** Isolated pages have clocks of 5 microseconds; others, of 100. */
const ISOLATION = {
  "Cross-Origin-Opener-Policy": "same-origin",
  "Cross-Origin-Embedder-Policy": "require-corp",
};

interface Arguments {
  readonly mechanisms?: readonly string[];
  readonly filter: string;
  readonly rounds: number;
  readonly peers: boolean;
  readonly json?: string;
}

async function bench(args: Arguments): Promise<MechanismsReport> {
  const server = await startPageServer({ name: "bench-mechanisms", headers: ISOLATION });
  try {
    const { browser } = await launchBrowser();
    try {
      const page = await openPage(browser, server.url("bench/mechanisms/page.html"), "mechanisms");
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
        ours: versionOf("../.."),
        ...(peers && { "onnxruntime-web": versionOf("../../node_modules/onnxruntime-web") }),
      };
      const { adapter, software } = start;
      return { date: new Date().toISOString(), adapter, software, rounds, versions, rows };
    } finally {
      await browser.close();
    }
  } finally {
    await server.close();
  }
}

function versionOf(folder: string): string {
  const file = new URL(`${folder}/package.json`, import.meta.url);
  return (JSON.parse(readFileSync(file, "utf8")) as { version: string }).version;
}

/** @throws UsageError */
function readArguments(args: readonly string[]): Arguments | undefined {
  const options = {
    mechanism: { type: "string" },
    filter: { type: "string" },
    rounds: { type: "string" },
    "no-peers": { type: "boolean" },
    json: { type: "string" },
    help: { type: "boolean" },
  } as const;
  let values: ReturnType<typeof parseArgs<{ options: typeof options }>>["values"];
  try {
    ({ values } = parseArgs({ args: [...args], options }));
  } catch (error) {
    throw new UsageError((error as Error).message);
  }
  if (values.help) return undefined;
  const rounds = Number(values.rounds ?? MIN_ROUNDS);
  if (!Number.isInteger(rounds) || rounds < MIN_ROUNDS)
    throw new UsageError(`--rounds is a whole number of at least ${MIN_ROUNDS}, not "${values.rounds}"`);
  return {
    ...(values.mechanism && { mechanisms: values.mechanism.split(",") }),
    filter: values.filter ?? "",
    rounds,
    peers: !values["no-peers"],
    ...(values.json && { json: values.json }),
  };
}

async function main(): Promise<number> {
  let report: MechanismsReport;
  let json: string | undefined;
  try {
    const args = readArguments(process.argv.slice(2));
    if (!args) {
      console.log(USAGE);
      return 0;
    }
    json = args.json;
    report = await bench(args);
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    console.error(`${error.message}\n${USAGE}`);
    return 2;
  }
  console.log(formatReport(report));
  const rows = report.rows.map((row) => ({
    ...row,
    entries: row.entries.map((entry) => ({ ...entry, ...compareEntry(row, entry) })),
  }));
  if (json) writeFileSync(json, `${JSON.stringify({ ...report, rows }, null, 2)}\n`);
  return everythingIsRight(report) ? 0 : 1;
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
