import { causalRatios, compareRow, fastestMatmul, rate } from "./comparison.js";
import type { ContenderName, PeerName, TuningKind } from "./contender.js";
import type { CallResult, MatmulResult, RowResult, StartReport } from "./results.js";
import { median, summarise } from "./statistics.js";
import { rowName } from "./suite.js";
import { compareSweeps } from "./sweep.js";
import { formatTable } from "./table.js";

/** Everything that a run found out; the `--json` file is this, with comparisons. */
export interface BenchReport {
  /** ISO 8601. */
  readonly date: string;
  /** Of this project and of every peer that took part. */
  readonly versions: Readonly<Partial<Record<ContenderName, string>>>;
  readonly start: StartReport;
  readonly rounds: number;
  readonly tuning?: TuningKind;
  readonly matmul: readonly MatmulResult[];
  readonly rows: readonly RowResult[];
}

/** Ours must be right in every row; what peers do is not our failure. */
export function oursIsRight({ rows }: BenchReport): boolean {
  return rows.every(({ calls }) =>
    calls.every(({ contender, status }) => contender !== "ours" || status === "timed"),
  );
}

export function reportAsJson(report: BenchReport): string {
  const comparisons = report.rows.map(compareRow);
  const derived = {
    comparisons,
    causalRatios: causalRatios(report.rows),
    sweeps: compareSweeps(report.rows),
  };
  return `${JSON.stringify({ ...report, ...derived }, null, 2)}\n`;
}

export function formatReport(report: BenchReport): string {
  const contenders = Object.keys(report.versions) as ContenderName[];
  return [
    ...heading(report),
    "",
    ...rowTable(report, contenders),
    ...remarks(report.rows),
    ...ratioTable(report, contenders),
    ...sweepTable(report),
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
    "Ratios are taken within each round; what is shown is their median.",
  ];
}

function rowTable(report: BenchReport, contenders: readonly ContenderName[]): string[] {
  const peers = contenders.filter((name): name is PeerName => name !== "ours");
  const header = ["row", "ours ms", "GFLOP/s", "of matmul", ...peers.map((name) => `${name} ms`), "speedup"];
  return formatTable(
    header,
    report.rows.map((row) => {
      const { gflops, fractionOfMatmul, againstPeer } = compareRow(row);
      return [
        rowName(row),
        timeCell(row, "ours"),
        gflops === undefined ? "-" : gflops.toFixed(2),
        fractionOfMatmul === undefined ? "-" : `${(100 * fractionOfMatmul).toFixed(0)} %`,
        ...peers.map((name) => timeCell(row, name)),
        againstPeer ? `${againstPeer.speedup.toFixed(2)}x ${againstPeer.peer}` : "-",
      ];
    }),
  );
}

function timeCell(row: RowResult, contender: ContenderName): string {
  const timed = compareRow(row).fastest.find((call) => call.contender === contender);
  if (timed) return `${ms(timed.ms.median)} (${ms(timed.ms.min)} to ${ms(timed.ms.max)})`;
  const calls = row.calls.filter((call) => call.contender === contender);
  return [...new Set(calls.map(verdict))].join(", ") || "-";
}

/** `"wrong (max error 1.39e+0)"` */
function verdict({ status, maxRelative }: CallResult): string {
  if (status !== "wrong") return status;
  return `wrong (max error ${maxRelative == null ? "not finite" : maxRelative.toExponential(2)})`;
}

/** Why calls were not timed. */
function remarks(rows: readonly RowResult[]): string[] {
  const lines = rows.flatMap((row) =>
    row.calls.flatMap((result) => {
      const { contender, call, status, message } = result;
      if (status === "timed" || status === "unsupported") return [];
      const subject = [rowName(row), [contender, call].filter(Boolean).join(" ")].join(": ");
      return [`${subject} ${verdict(result)}${message ? `: ${message.split("\n")[0]}` : ""}`];
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

function sweepTable({ rows }: BenchReport): string[] {
  const sweeps = compareSweeps(rows);
  if (sweeps.length === 0) return [];
  const cells = sweeps.map(({ row, configurations, best, bestMs, table, measured }) => [
    row,
    `${best} (${ms(bestMs)} ms, of ${configurations})`,
    table.toFixed(2),
    measured.toFixed(2),
  ]);
  return [
    "",
    ...formatTable(["sweep", "fastest configuration", "table / fastest", "measured / fastest"], cells),
  ];
}

function matmulTable({ matmul, rows }: BenchReport): string[] {
  const table = formatTable(
    [`plain f32 matmul, ${matmul[0]?.size} x ${matmul[0]?.size}`, "GFLOP/s"],
    matmul.map((candidate) => [candidate.name, matmulCell(candidate)]),
  );
  const rates = [matmul, ...rows.map((row) => row.matmul)].flatMap(
    (products) => fastestMatmul(products)?.gflops ?? [],
  );
  if (rates.length === 0) return [...table, "no plain matmul was right: nothing to hold the rows against"];
  const { median: usual, min, max } = summarise(rates);
  const [low, high] = [min, max].map((value) => value.toFixed(2));
  return [
    ...table,
    `adapter's best plain f32 matmul: ${usual.toFixed(2)} GFLOP/s (median; ${low} to ${high} from row to row)`,
  ];
}

function matmulCell({ status, samples, flops, maxRelative, message }: MatmulResult): string {
  if (samples.length > 0) return rate(flops, median(samples)).toFixed(2);
  return status === "wrong" ? `wrong (max error ${maxRelative?.toExponential(2)})` : `${status}: ${message}`;
}

function ms(value: number): string {
  return value >= 100 ? value.toFixed(0) : value.toPrecision(3);
}
