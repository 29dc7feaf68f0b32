import type { AttentionContext, TensorView } from "../../src/index.js";
import { difference } from "../support/compare.js";
import { type PlacedLayout, placedSize, places } from "../support/placement.js";

/** Throws, with the numbers, unless the output agrees with the reference and nothing beside it was written. */
export async function expectWritten(
  ctx: AttentionContext,
  name: string,
  view: TensorView & PlacedLayout,
  expected: ArrayLike<number>,
  tolerance: number,
): Promise<void> {
  const { buffer, dtype } = view;
  const memory = await ctx.read({ buffer, dtype, shape: [1, 1, 1, placedSize(view)] });
  const own = places(view);
  const { maxAbsolute, maxRelative } = difference(
    own.map((index) => memory[index]!),
    expected,
  );
  // Relative to the largest reference value. The error of a log-sum-exp is that of the scores it comes from, which are of size
  // 1 and more also where a short row's log happens to be near 0.
  const error = name === "lse" ? Math.min(maxAbsolute, maxRelative) : maxRelative;
  if (!(error <= tolerance)) throw new Error(`${name}: error ${error}, allowed ${tolerance}`);

  const inside = new Set(own);
  const spilled = memory.findIndex((value, index) => !inside.has(index) && !Number.isNaN(value));
  if (spilled >= 0) throw new Error(`${name}: element ${spilled} of its buffer lies outside and was written`);
}
