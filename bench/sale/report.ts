import { formatTable } from "../table.js";
import type { SpeedRow } from "./speed.js";

const percent = (share: number) => `${(100 * share).toFixed(1)} %`;
const seconds = (ms: number) => `${(ms / 1000).toFixed(2)} s`;

/** What the figures of a row are, in the order in which they are shown. */
const COLUMNS: readonly (readonly [title: string, text: (row: SpeedRow) => string])[] = [
  ["input", ({ input }) => input],
  ["tokens", ({ tokens }) => String(tokens)],
  ["threshold", ({ threshold }) => threshold.toPrecision(3)],
  ["kept", ({ keptBlocks }) => percent(keptBlocks)],
  ["recall", ({ recall }) => recall.toFixed(4)],
  ["error / bound", ({ error, errorBound }) => `${error.toFixed(3)} / ${errorBound.toFixed(3)}`],
  ["selection cost", ({ costShare }) => percent(costShare)],
  ["int8 / f32 rate", ({ rateRatio }) => rateRatio.toFixed(1)],
  ["dense", ({ denseMs }) => seconds(denseMs)],
  ["selection", ({ selectionMs, selectionShare }) => `${seconds(selectionMs)} (${percent(selectionShare)})`],
  [
    "attention",
    ({ attentionMs, attentionOverKept }) =>
      `${seconds(attentionMs)} (${attentionOverKept.toFixed(2)} x kept)`,
  ],
  ["speedup", ({ speedup }) => speedup.toFixed(2)],
];

export function speedTable(rows: readonly SpeedRow[]): string {
  const header = COLUMNS.map(([title]) => title);
  const lines = rows.map((row) => COLUMNS.map(([, text]) => text(row)));
  return formatTable(header, lines).join("\n");
}

export function htmlReport(report: {
  readonly date: string;
  readonly adapter: string;
  readonly speed: readonly SpeedRow[];
  readonly plots: readonly string[];
}): string {
  const { date, adapter, speed, plots } = report;
  const cells = (tag: string, texts: readonly string[]) =>
    texts.map((text) => `<${tag}>${text}</${tag}>`).join("");
  const rows = speed
    .map(
      (row) =>
        `<tr>${cells(
          "td",
          COLUMNS.map(([, text]) => text(row)),
        )}</tr>`,
    )
    .join("\n");
  const samples = speed.map(
    (row) =>
      `<li>${row.input}, ${row.tokens} tokens: dense attention timed on ${row.denseSample}; quality on ${row.sampledRows} rows, output ${row.rounding.toExponential(1)} from float64.</li>`,
  );
  return `<!doctype html>
<html lang="en"><meta charset="utf-8"><title>SALE</title>
<style>body{font:14px sans-serif;margin:2em}table{border-collapse:collapse}td,th{border:1px solid #ccc;padding:4px 8px}</style>
<h1>SALE against dense attention</h1>
<p>${date}, ${adapter}, in Deno. One head; medians of interleaved rounds, in
processor time. A CPU driver's figures say nothing about a GPU but what
the ratios of its rates have in common with one.</p>
<table><tr>${cells(
    "th",
    COLUMNS.map(([title]) => title),
  )}</tr>
${rows}
</table>
<ul>${samples.join("\n")}</ul>
<h2>Error against kept fraction</h2>
${plots.join("\n")}
</html>
`;
}
