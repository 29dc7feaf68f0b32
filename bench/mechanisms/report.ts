import { fastestMatmul, rate } from "../comparison.js";
import { median, medianRatio, summarise } from "../statistics.js";
import { formatTable } from "../table.js";
import type { EntryResult, MechanismRowResult } from "./results.js";

export interface MechanismsReport {
  /** ISO 8601. */
  readonly date: string;
  readonly adapter: string;
  readonly software: boolean;
  readonly rounds: number;
  readonly versions: Readonly<Record<string, string>>;
  readonly rows: readonly MechanismRowResult[];
}

/** What an entry means beside the first of its row. */
export interface EntryComparison {
  readonly gflops?: number;
  /** Its rate over that of the best plain matrix product, round by round. */
  readonly fractionOfMatmul?: number;
  /** Time per row over the first entry's, or the first entry's time over this one's. */
  readonly ratio?: number;
}

export function compareEntry(row: MechanismRowResult, entry: EntryResult): EntryComparison {
  if (entry.samples.length === 0) return {};
  const matmul = fastestMatmul(row.matmul);
  const [first] = row.entries;
  const base = first!.samples.length > 0 ? first : undefined;
  return {
    gflops: rate(entry.flops, median(entry.samples)),
    ...(matmul && {
      fractionOfMatmul: (medianRatio(matmul.samples, entry.samples) * entry.flops) / matmul.flops,
    }),
    ...(base && {
      ratio:
        row.compare === "speedup"
          ? medianRatio(base.samples, entry.samples)
          : (medianRatio(entry.samples, base.samples) * base.rows) / entry.rows,
    }),
  };
}

/** Ours must be right everywhere; entries that failed are failures too. */
export function everythingIsRight({ rows }: MechanismsReport): boolean {
  return rows.every(({ entries }) => entries.every(({ status }) => status === "timed"));
}

export function formatReport(report: MechanismsReport): string {
  const lines = [
    `${report.date}, ${report.adapter}`,
    ...(report.software
      ? [
          "This adapter is a CPU driver: the figures say nothing about a GPU, and compare only within this run.",
        ]
      : []),
    Object.entries(report.versions)
      .map(([name, version]) => `${name} ${version}`)
      .join(", "),
    `Milliseconds are medians (least to most) of ${report.rounds} rounds in which all entries of a row take turns; every output was checked first.`,
    "Ratios are taken within each round; what is shown is their median.",
  ];
  for (const row of report.rows) lines.push("", ...rowTable(row));
  return lines.join("\n");
}

function rowTable(row: MechanismRowResult): string[] {
  const ratioName = row.compare === "speedup" ? "speedup" : "per row";
  const header = [
    `${row.mechanism}: ${row.name}`,
    "ms",
    "us/row",
    "GFLOP/s",
    "of matmul",
    ratioName,
    "scratch",
  ];
  const cells = row.entries.map((entry) => {
    const { gflops, fractionOfMatmul, ratio } = compareEntry(row, entry);
    if (gflops === undefined) return [entry.name, verdict(entry), "-", "-", "-", "-", "-"];
    const ms = summarise(entry.samples);
    return [
      entry.name,
      `${digits(ms.median)} (${digits(ms.min)} to ${digits(ms.max)})`,
      digits((1000 * ms.median) / entry.rows),
      entry.flops > 0 ? gflops.toFixed(2) : "-",
      fractionOfMatmul === undefined || entry.flops === 0 ? "-" : `${(100 * fractionOfMatmul).toFixed(0)} %`,
      ratio === undefined ? "-" : `${ratio.toFixed(2)}x`,
      `${(entry.scratchBytes / 2 ** 20).toFixed(2)} MiB`,
    ];
  });
  return formatTable(header, cells);
}

function verdict({ status, maxRelative, message }: EntryResult): string {
  if (status === "wrong") return `wrong (max error ${maxRelative?.toExponential(2) ?? "not finite"})`;
  return `${status}: ${message?.split("\n")[0]}`;
}

function digits(value: number): string {
  return value >= 100 ? value.toFixed(0) : value.toPrecision(3);
}
