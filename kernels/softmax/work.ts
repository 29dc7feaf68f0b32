import type { SoftmaxShape } from "./problem.js";

/** What a block of query rows of one head has to do. */
export interface BlockWork {
  /** (query, key) pairs that the windows leave. */
  readonly pairs: number;
  /** Keys from the first to the last that any of the rows may see. */
  readonly keys: number;
}

/** Work of `count` rows from `first` on. Lengths that are read on the GPU count as full: a bound, not a forecast. */
export function blockWork(shape: SoftmaxShape, first: number, count: number): BlockWork {
  const last = Math.min(first + count, shape.tokensQ) - 1;
  let pairs = 0;
  for (let row = first; row <= last; row++) {
    const [begin, end] = visibleKeys(shape, row);
    pairs += Math.max(end - begin, 0);
  }
  const [begin] = visibleKeys(shape, first);
  const [, end] = visibleKeys(shape, last);
  return { pairs, keys: Math.max(end - begin, 0) };
}

function visibleKeys(shape: SoftmaxShape, row: number): [begin: number, end: number] {
  const { tokensK, queryOffset, windowLeft, windowRight } = shape;
  const position = row + queryOffset;
  const begin = windowLeft === undefined ? 0 : Math.max(position - windowLeft, 0);
  const end =
    windowRight === undefined ? tokensK : Math.min(Math.max(position + windowRight + 1, 0), tokensK);
  return [begin, end];
}
