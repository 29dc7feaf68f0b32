/** A place in a grid of rows; columns may begin below 0. */
export interface GridPlace {
  readonly row: number;
  readonly column: number;
}

const STEPS: Readonly<Record<string, readonly [rows: number, columns: number]>> = {
  ArrowUp: [-1, 0],
  ArrowDown: [1, 0],
  ArrowLeft: [0, -1],
  ArrowRight: [0, 1],
};

/**
 * Where a key leads from a place; nowhere at an edge, `undefined` also for keys that do not step. Rows that have nothing in the column are
 * stepped over.
 */
export function stepFrom<Place extends GridPlace>(
  from: GridPlace,
  key: string,
  places: readonly Place[],
): Place | undefined {
  const step = STEPS[key];
  if (!step) return undefined;
  const [rows, columns] = step;
  if (rows === 0)
    return places.find(({ row, column }) => row === from.row && column === from.column + columns);
  return places
    .filter(({ row, column }) => column === from.column && Math.sign(row - from.row) === rows)
    .sort((a, b) => rows * (a.row - b.row))[0];
}
