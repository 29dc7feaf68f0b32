/** A cell by the positions that it compares. */
export interface Cell {
  readonly row: number;
  readonly column: number;
}

/** Smallest and largest similarity of two different texts: the diagonal's ones would flatten the colours of all others. */
export function valueRange(matrix: readonly (readonly number[])[]): { low: number; high: number } {
  let low = Number.POSITIVE_INFINITY;
  let high = Number.NEGATIVE_INFINITY;
  for (const [i, row] of matrix.entries()) {
    for (const value of row.slice(0, i)) {
      low = Math.min(low, value);
      high = Math.max(high, value);
    }
  }
  return low < high ? { low, high } : { low: 0, high: 1 };
}

/** Where a value lies in the range, 0 to 1, clamped. */
export function fractionOf(value: number, { low, high }: { low: number; high: number }): number {
  return Math.min(1, Math.max(0, (value - low) / (high - low)));
}

/** The cell at a point of a square map of n x n cells with a margin for labels at the top and the left; lengths in one unit. */
export function cellAt(x: number, y: number, n: number, size: number, margin: number): Cell | undefined {
  const side = (size - margin) / n;
  const row = Math.floor((y - margin) / side);
  const column = Math.floor((x - margin) / side);
  return row >= 0 && column >= 0 && row < n && column < n ? { row, column } : undefined;
}

/** The cell that an arrow key leads to; it stops at the edge. `undefined` for other keys. */
export function neighbour({ row, column }: Cell, key: string, n: number): Cell | undefined {
  const steps: Record<string, readonly [number, number]> = {
    ArrowUp: [-1, 0],
    ArrowDown: [1, 0],
    ArrowLeft: [0, -1],
    ArrowRight: [0, 1],
  };
  const step = steps[key];
  if (step === undefined) return undefined;
  const inside = (value: number) => Math.min(n - 1, Math.max(0, value));
  return { row: inside(row + step[0]), column: inside(column + step[1]) };
}
