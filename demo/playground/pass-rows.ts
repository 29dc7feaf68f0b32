import type { Pass } from "webgpu-attention";

/** Passes in a row that differ only in which part of the work they take. */
export interface PassRow {
  readonly name: string;
  readonly variant: string;
  readonly constants: string;
  readonly workgroups: string;
  readonly count: number;
  /** Sums over the passes. */
  readonly flops: number;
  readonly bytes: number;
  readonly milliseconds?: number;
}

/** @param times one for each pass */
export function passRows(passes: readonly Pass[], times?: readonly number[]): PassRow[] {
  const rows: PassRow[] = [];
  passes.forEach((pass, index) => {
    const row = rowOf(pass, times?.[index]);
    const last = rows.at(-1);
    if (last && isSame(last, row)) rows[rows.length - 1] = together(last, row);
    else rows.push(row);
  });
  return rows;
}

function rowOf(
  { name, variant, constants, workgroups, cost }: Pass,
  milliseconds: number | undefined,
): PassRow {
  return {
    name,
    variant: variant || "base",
    constants: constantsText(constants ?? {}),
    workgroups: trimmed(workgroups).join(" × "),
    count: 1,
    ...cost,
    ...(milliseconds !== undefined && { milliseconds }),
  };
}

/** Numbers, and the flags that are set: those that are not would drown them. */
function constantsText(constants: Readonly<Record<string, number | boolean>>): string {
  return Object.entries(constants)
    .filter(([, value]) => value !== false)
    .map(([name, value]) => (value === true ? name : `${name} ${value}`))
    .join(" · ");
}

/** Without the ones at the end of [x, y, z]. */
function trimmed(workgroups: readonly number[]): readonly number[] {
  const last = workgroups.findLastIndex((size) => size !== 1);
  return workgroups.slice(0, Math.max(1, last + 1));
}

function isSame(a: PassRow, b: PassRow): boolean {
  return a.name === b.name && a.variant === b.variant && a.constants === b.constants;
}

function together(a: PassRow, b: PassRow): PassRow {
  return {
    ...a,
    count: a.count + 1,
    flops: a.flops + b.flops,
    bytes: a.bytes + b.bytes,
    ...(a.milliseconds !== undefined && { milliseconds: a.milliseconds + (b.milliseconds ?? 0) }),
  };
}
