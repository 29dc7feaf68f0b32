import fc from "fast-check";
import type { Placement } from "../support/placement.js";

export const integer = (min: number, max: number) => fc.integer({ min, max });

const anywhere: fc.Arbitrary<Placement> = fc.record({
  order: fc.shuffledSubarray([0, 1, 2, 3], { minLength: 4 }),
  padding: fc.tuple(integer(0, 3), integer(0, 3), integer(0, 3), integer(0, 3)),
  offset: integer(0, 9),
});
const aligned: Placement = { order: [0, 1, 2, 3], padding: [0, 0, 0, 0], offset: 0 };

/** Dense from the buffer's start, or anywhere. */
export const placement = fc.oneof(fc.constant(aligned), anywhere);
