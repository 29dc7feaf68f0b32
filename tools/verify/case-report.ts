/** What became of one case; travels from the page to Node as JSON, and into the `--json` file. */
export interface CaseReport {
  readonly file: string;
  /** As the file says, or `"?"` where it could not be read. */
  readonly mechanism: string;
  readonly case: string;
  readonly status: "passed" | "failed" | "skipped";
  /** Every compared output. Empty when nothing was computed. */
  readonly outputs: readonly OutputReport[];
  /** Why it was skipped or could not be computed. */
  readonly message?: string;
}

/** An error is null where it is no finite number (a NaN or a wrong infinity among the outputs): JSON has none. */
export interface OutputReport {
  readonly name: string;
  readonly maxAbsolute: number | null;
  /** Relative to the largest finite reference value. */
  readonly maxRelative: number | null;
  readonly tolerance: number;
}

/** Whether an output is within its tolerance. */
export function isWithin({ maxRelative, tolerance }: OutputReport): boolean {
  return maxRelative !== null && maxRelative <= tolerance;
}

/** One line, whatever a message holds. The numbers are those of the output that is worst against its tolerance. */
export function formatReport(report: CaseReport): string {
  const start = `${report.status} ${report.mechanism} ${report.case}`;
  const excess = (output: OutputReport) =>
    (output.maxRelative ?? Number.POSITIVE_INFINITY) / output.tolerance;
  const [worst] = [...report.outputs].sort((a, b) => excess(b) - excess(a));
  const numbers =
    worst &&
    `${worst.name} max abs ${scientific(worst.maxAbsolute)} max rel ${scientific(worst.maxRelative)} tolerance ${worst.tolerance.toExponential()}`;
  const why = [numbers, report.message?.replace(/\s*\n\s*/g, " ")].filter(Boolean).join("; ");
  return why ? `${start}: ${why}` : start;
}

function scientific(value: number | null): string {
  return value === null ? "not finite" : value.toExponential(2);
}
