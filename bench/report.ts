import { causalRatios, compareRow, rate } from "./comparison.js";
import type { ContenderName, PeerName } from "./contender.js";
import type { CallResult, MatmulReport, MatmulResult, RowResult, StartReport } from "./results.js";
import { median, summarise } from "./statistics.js";
import { rowName } from "./suite.js";
import { formatTable } from "./table.js";

/** Everything that a run found out; the `--json` file is this, with comparisons. */
export interface BenchReport {
  /** ISO 8601. */
  readonly date: string;
  /** Of this project and of every peer that took part. */
  readonly versions: Readonly<Partial<Record<ContenderName, string>>>;
  readonly start: StartReport;
  readonly rounds: number;
  readonly tuning?: string;
  readonly matmul: MatmulReport;
  readonly rows: readonly RowResult[];
}

/** Ours must be right in every row; what peers do is not our failure. */
export function oursIsRight({ rows }: BenchReport): boolean {
  return rows.every(({ calls }) =>
    calls.every(({ contender, status }) => contender !== "ours" || status === "timed"),
  );
}

export function reportAsJson(report: BenchReport): string {
  const comparisons = report.rows.map((row) => compareRow(row, report.matmul));
  return `${JSON.stringify({ ...report, comparisons, causalRatios: causalRatios(report.rows) }, null, 2)}\n`;
}

export function formatReport(report: BenchReport): string {
  const contenders = Object.keys(report.versions) as ContenderName[];
  return [
    ...heading(report),
    "",
    ...rowTable(report, contenders),
    ...remarks(report.rows),
    ...ratioTable(report, contenders),
    "",
    ...matmulTable(report),
  ].join("\n");
}

function heading({ date, start, versions, rounds, tuning }: BenchReport): string[] {
  return [
    `${date}, ${start.adapter}${tuning ? `, tuning "${tuning}"` : ""}`,
    ...(start.software
      ? [
          "This adapter is a CPU driver: the figures say nothing about a GPU, and compare only within this run.",
        ]
      : []),
    Object.entries(versions)
      .map(([name, version]) => `${name} ${version}`)
      .join(", "),
    `Milliseconds are medians (least to most) of ${rounds} rounds in which all take turns; every output was checked first.`,
  ];
}

function rowTable(report: BenchReport, contenders: readonly ContenderName[]): string[] {
  const peers = contenders.filter((name): name is PeerName => name !== "ours");
  const header = ["row", "ours ms", "GFLOP/s", "of matmul", ...peers.map((name) => `${name} ms`), "speedup"];
  return formatTable(
    header,
    report.rows.map((row) => {
      const { gflops, fractionOfMatmul, againstPeer } = compareRow(row, report.matmul);
      return [
        rowName(row),
        timeCell(row, "ours", report.matmul),
        gflops === undefined ? "-" : gflops.toFixed(2),
        fractionOfMatmul === undefined ? "-" : `${(100 * fractionOfMatmul).toFixed(0)} %`,
        ...peers.map((name) => timeCell(row, name, report.matmul)),
        againstPeer ? `${againstPeer.speedup.toFixed(2)}x ${againstPeer.peer}` : "-",
      ];
    }),
  );
}

function timeCell(row: RowResult, contender: ContenderName, matmul: MatmulReport): string {
  const timed = compareRow(row, matmul).fastest.find((call) => call.contender === contender);
  if (timed) return `${ms(timed.ms.median)} (${ms(timed.ms.min)} to ${ms(timed.ms.max)})`;
  const calls = row.calls.filter((call) => call.contender === contender);
  return [...new Set(calls.map(verdict))].join(", ") || "-";
}

/** `"wrong (max error 1.39e+0)"` */
function verdict({ status, maxRelative }: CallResult): string {
  if (status !== "wrong") return status;
  return `wrong (max error ${maxRelative == null ? "not finite" : maxRelative.toExponential(2)})`;
}

/** Calls that could not be timed, and those that the GPU had no part in. */
function remarks(rows: readonly RowResult[]): string[] {
  const lines = rows.flatMap((row) =>
    row.calls.flatMap((result) => {
      const { contender, call, status, dispatches, message } = result;
      const subject = `${rowName(row)}: ${[contender, call].filter(Boolean).join(" ")}`;
      if (status === "timed" && dispatches !== 0) return [];
      const what = status === "timed" ? "made no dispatch: not a GPU's time" : verdict(result);
      return [`${subject} ${what}${message ? `: ${message.split("\n")[0]}` : ""}`];
    }),
  );
  return lines.length > 0 ? ["", ...lines] : [];
}

function ratioTable({ rows }: BenchReport, contenders: readonly ContenderName[]): string[] {
  const ratios = causalRatios(rows);
  if (ratios.length === 0) return [];
  const cells = ratios.map(({ row, ratios: byName }) => [
    row,
    ...contenders.map((name) => byName[name]?.toFixed(2) ?? "-"),
  ]);
  return ["", ...formatTable(["causal time / full time", ...contenders], cells)];
}

function matmulTable({ matmul, rows }: BenchReport): string[] {
  const { best, candidates } = matmul;
  const size = candidates[0]?.size;
  const table = formatTable(
    [`plain f32 matmul, ${size} x ${size}`, "GFLOP/s"],
    candidates.map((candidate) => [candidate.name, matmulCell(candidate)]),
  );
  if (!best) return [...table, "no plain matmul was right: no yardstick"];
  const found = candidates.find(({ name }) => name === best.name)!;
  const {
    median: mid,
    min,
    max,
  } = summarise([...found.samples, ...rows.flatMap((row) => row.matmulSamples)]);
  const [usual, fastest, slowest] = [mid, min, max].map((time) => rate(best.flops, time).toFixed(2));
  return [
    ...table,
    `adapter's best plain f32 matmul: ${usual} GFLOP/s (${slowest} to ${fastest} over the whole run), ${best.name}`,
  ];
}

function matmulCell({ status, samples, size, maxRelative, message }: MatmulResult): string {
  if (samples.length > 0) return rate(2 * size ** 3, median(samples)).toFixed(2);
  return status === "wrong" ? `wrong (max error ${maxRelative?.toExponential(2)})` : `${status}: ${message}`;
}

function ms(value: number): string {
  return value >= 100 ? value.toFixed(0) : value.toPrecision(3);
}
