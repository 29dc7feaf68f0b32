// Images of tokens: grids, windows of images, and the bins that agents are pooled from.
import { checkBoolean, expectEqual, fail } from "../../src/dispatch/check.js";
import type { TensorLayout } from "../../src/dispatch/tensor-view.js";
import { checkOptions } from "../../src/dispatch/validate.js";
import { type Grid, POOL_NAMES, type PoolOptions, type WindowOptions } from "./options.js";

export interface CheckedPool {
  readonly grid: Grid;
  readonly bins: Grid;
  readonly classTokens: 0 | 1;
}

export interface Windows {
  readonly image: Grid;
  readonly size: Grid;
  /** Windows of an image, and how many of them stand side by side. */
  readonly perImage: number;
  readonly across: number;
}

/** @throws AttentionError "shape" for a grid that is not a window's, where there are windows */
export function expectWindow(name: string, grid: Grid, windows: Windows | undefined): void {
  if (!windows || (grid[0] === windows.size[0] && grid[1] === windows.size[1])) return;
  const expected = `[${windows.size}], the size of a window`;
  fail("shape", name, expected, `[${grid}]`, "Each window is an image by itself.");
}

export function area([rows, columns]: Grid): number {
  return rows * columns;
}

/** @throws AttentionError "shape" unless the grid and the class token are all of the tokens */
export function checkGrid(name: string, grid: Grid, classTokens: number, tokens: number, what: string): void {
  checkSizes(name, grid);
  const covered = area(grid) + classTokens;
  if (covered === tokens) return;
  const expected = `a grid of ${tokens - classTokens} places, the ${tokens} ${what}${classTokens ? " without the class token" : ""}`;
  fail("shape", name, expected, `[${grid}], ${area(grid)} places`, "Grids are [rows, columns].");
}

/** @throws AttentionError "shape" unless it is [rows, columns] */
export function checkSizes(name: string, grid: Grid): void {
  const right =
    Array.isArray(grid) && grid.length === 2 && grid.every((size) => Number.isSafeInteger(size) && size >= 1);
  if (!right)
    fail("shape", name, "[rows, columns], integers of at least 1", show(grid), "Grids are [rows, columns].");
}

/** @throws AttentionError "shape", or "unsupported" for unknown options */
export function checkedPool(
  name: string,
  options: PoolOptions,
  tokens: number,
  windows: Windows | undefined,
): CheckedPool {
  checkOptions(name, options, POOL_NAMES);
  const { grid, pool, classToken = false } = options;
  checkBoolean(`${name}.classToken`, classToken);
  const classTokens = classToken ? 1 : 0;
  checkGrid(`${name}.grid`, grid, classTokens, tokens, "queries");
  expectWindow(`${name}.grid`, grid, windows);
  const bins: Grid = typeof pool === "number" ? [pool, pool] : pool;
  checkSizes(`${name}.pool`, bins);
  return { grid, bins, classTokens };
}

/** @throws AttentionError "shape" for windows that do not tile the tensors' images */
export function checkedWindows(options: WindowOptions, tensors: Record<string, TensorLayout>): Windows {
  checkOptions("windows", options, ["image", "size"]);
  const { image, size } = options;
  checkSizes("windows.image", image);
  checkSizes("windows.size", size);
  for (const [name, { shape }] of Object.entries(tensors))
    expectEqual(`${name}.shape[1] (tokens)`, shape[1], area(image), "the places of windows.image");
  image.forEach((places, axis) => {
    if (places % size[axis]! === 0) return;
    const expected = `a divisor of ${places}, the image's`;
    fail("shape", `windows.size[${axis}]`, expected, size[axis], "Pad the image to whole windows.");
  });
  const across = image[1] / size[1];
  return { image, size, across, perImage: (image[0] / size[0]) * across };
}

function show(grid: unknown): string {
  return Array.isArray(grid) ? `[${grid}]` : String(grid);
}
