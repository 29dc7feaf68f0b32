import type { SoftmaxCase } from "../kernels/softmax/cases.js";

/** Problems that are measured one after another. The default export of `suites/NAME.ts`; NAME is what `--suite` takes. */
export interface Suite {
  /** Whether the suite runs when no `--suite` is given. */
  readonly byDefault: boolean;
  readonly problems: readonly SoftmaxCase[];
}

/** A problem of a suite: one row of the report. Plain data, so that it travels to the page. */
export interface BenchRow {
  readonly suite: string;
  readonly problem: SoftmaxCase;
}

/** `"prefill causal 512"`: what `--filter` looks at. */
export function rowName({ suite, problem }: BenchRow): string {
  return `${suite} ${problem.name}`;
}

/** Whether two rows differ in their options only: such rows are measured together. */
export function sameSizes(a: BenchRow, b: BenchRow): boolean {
  const sizes = ({ suite, problem: { name: _name, options: _options, ...rest } }: BenchRow) =>
    JSON.stringify([suite, rest]);
  return sizes(a) === sizes(b);
}

/** Rows in their order, those of the same sizes joined. */
export function groupRows(rows: readonly BenchRow[]): BenchRow[][] {
  const groups: BenchRow[][] = [];
  for (const row of rows) {
    const group = groups.find(([first]) => sameSizes(first!, row));
    if (group) group.push(row);
    else groups.push([row]);
  }
  return groups;
}

type Sizes = Pick<SoftmaxCase, "tokensQ" | "tokensK"> & Partial<Pick<SoftmaxCase, "heads" | "kvHeads">>;

/** A problem of one batch entry in f32 with 64 channels a head; by default 8 heads, each with keys of its own. */
export function benchProblem(name: string, sizes: Sizes, options: { causal?: boolean } = {}): SoftmaxCase {
  const { tokensQ, tokensK, heads = 8, kvHeads = heads } = sizes;
  const dims = { batches: 1, headDim: 64, valueDim: 64, dtype: "f32", kvDtype: "f32" } as const;
  return { name, tokensQ, tokensK, heads, kvHeads, ...dims, options };
}

/** 2 D for a dot product and 2 Dv for its share of the output, over the (query, key) pairs that causality leaves. */
export function attentionFlops({ batches, heads, tokensQ, tokensK, ...problem }: SoftmaxCase): number {
  let pairs = tokensQ * tokensK;
  if (problem.options.causal) {
    pairs = 0;
    for (let i = 0; i < tokensQ; i++) pairs += Math.max(0, Math.min(tokensK, i + 1 + tokensK - tokensQ));
  }
  return batches * heads * pairs * 2 * (problem.headDim + problem.valueDim);
}
