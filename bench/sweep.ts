import type { CallResult, RowResult } from "./results.js";
import { median, medianRatio } from "./statistics.js";
import { rowName } from "./suite.js";

/** Names of our calls in a sweep: the table's choice, and what measuring finds; the others bear their configuration's name. */
export const TABLE = "table";
export const MEASURED = "measured";

/** How good our choices are: each against the fastest of all published configurations, in the same rounds. */
export interface SweepComparison {
  readonly row: string;
  readonly configurations: number;
  readonly best: string;
  /** Milliseconds of the best. */
  readonly bestMs: number;
  /** Time of the choice over the best's, round by round: 1 is the best itself. */
  readonly table: number;
  readonly measured: number;
}

/** Rows that were swept, as far as both choices were right. */
export function compareSweeps(rows: readonly RowResult[]): SweepComparison[] {
  return rows.flatMap((row) => {
    const timed = row.calls.filter(({ contender, status }) => contender === "ours" && status === "timed");
    const [table, measured] = [TABLE, MEASURED].map((name) => timed.find(({ call }) => call === name));
    if (!table || !measured) return [];
    // What measuring chose stands among the others under its own name, or is the table's choice.
    const swept = timed.filter(({ call }) => call !== MEASURED);
    const best = swept.reduce((a, b) => (median(b.samples) < median(a.samples) ? b : a));
    const against = ({ samples }: CallResult) => medianRatio(samples, best.samples);
    return [
      {
        row: rowName(row),
        configurations: swept.length,
        best: best.call,
        bestMs: median(best.samples),
        table: against(table),
        measured: against(measured),
      },
    ];
  });
}
