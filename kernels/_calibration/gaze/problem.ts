import type { Capabilities } from "../../../src/dispatch/capabilities.js";
import { fail } from "../../../src/dispatch/check.js";
import { expectShape } from "../../../src/dispatch/layout.js";
import { stridesOf, type TensorLayout } from "../../../src/dispatch/tensor-view.js";
import type { SoftmaxProblem } from "../../softmax/index.js";
import type { ModSlots } from "../../softmax/mod-slots.js";
import { checkProblem, type SoftmaxShape } from "../../softmax/problem.js";
import { checkPlainRows } from "../plain-rows.js";

/** Keys, [begin, end). */
type Range = readonly [begin: number, end: number];

/** What saliency is taken from: the problem that softmax attention was planned for in the layer that shows it, and where the image is. */
export interface GazeSaliencyProblem extends SoftmaxProblem {
  /** Keys of the image's tokens, [begin, end), the same in all batch entries. */
  readonly image: Range;
  /** Query rows of the question's content words (nouns, verbs, ...), the same in all batch entries. At least one. */
  readonly contentRows: readonly number[];
  /** [B, image keys, 1, 1] f32 dense. Default so. */
  readonly saliency?: TensorLayout;
}

/** Where the last query looks: the problem that softmax attention was planned for in a layer to be changed. */
export interface GazeEnhancementProblem extends SoftmaxProblem {
  /** Keys of the image's tokens, [begin, end), the same in all batch entries. */
  readonly image: Range;
  /** Keys of the question's tokens, [begin, end), likewise. */
  readonly question: Range;
  /** Default 5: see `GAZE_SHIFT_SETTINGS` of hooks. 0 changes nothing. */
  readonly alpha?: number;
  /** [B, image keys, 1, 1] f32 dense. Default so. */
  readonly saliency?: TensorLayout;
}

/** Either of them, checked. */
export interface GazeShape {
  readonly softmax: SoftmaxShape & { readonly lse: TensorLayout };
  readonly image: Range;
  readonly question: Range;
  readonly contentRows: readonly number[];
  readonly alpha: number;
  readonly saliency: TensorLayout;
}

const MOST_HEADS = 1024;

export function checkSaliency(
  problem: GazeSaliencyProblem,
  capabilities: Capabilities,
  mods?: ModSlots,
): GazeShape {
  const { image, contentRows, saliency, ...attention } = problem;
  const softmax = checkAttention("planGazeSaliency", attention, capabilities, mods);
  if (!Array.isArray(contentRows) || contentRows.length === 0)
    fail(
      "shape",
      "contentRows",
      "at least one row",
      contentRows,
      "Leave the step out for a question without content words.",
    );
  for (const [index, row] of contentRows.entries()) {
    if (Number.isSafeInteger(row) && row >= 0 && row < softmax.tokensQ) continue;
    fail(
      "shape",
      `contentRows[${index}]`,
      `a query row from 0 to ${softmax.tokensQ - 1}`,
      row,
      "Count rows of q.",
    );
  }
  checkRange("image", image, softmax.tokensK);
  const shape = { softmax, image, question: [0, 0], contentRows, alpha: 0 } as const;
  return { ...shape, saliency: checkedSaliency(saliency, softmax.batches, image) };
}

export function checkEnhancement(
  problem: GazeEnhancementProblem,
  capabilities: Capabilities,
  mods?: ModSlots,
): GazeShape {
  const { image, question, alpha = 5, saliency, ...attention } = problem;
  const softmax = checkAttention("planGazeEnhancement", attention, capabilities, mods);
  checkRange("image", image, softmax.tokensK);
  checkRange("question", question, softmax.tokensK);
  if (!(typeof alpha === "number" && alpha >= 0 && alpha <= 80))
    fail("shape", "alpha", "a number from 0 to 80", alpha, "Leave it out for 5.");
  const shape = { softmax, image, question, contentRows: [], alpha } as const;
  return { ...shape, saliency: checkedSaliency(saliency, softmax.batches, image) };
}

function checkAttention(
  name: string,
  attention: SoftmaxProblem,
  capabilities: Capabilities,
  mods: ModSlots | undefined,
): GazeShape["softmax"] {
  checkPlainRows(name, attention);
  const softmax = checkProblem({ ...attention, lse: attention.lse || true }, capabilities, mods);
  if (softmax.heads > MOST_HEADS)
    fail(
      "unsupported",
      "q.shape[2] (heads)",
      `at most ${MOST_HEADS}`,
      softmax.heads,
      "Heads are compared in one workgroup.",
    );
  return { ...softmax, lse: softmax.lse! };
}

function checkRange(name: string, range: Range, tokensK: number): void {
  const [begin, end] = Array.isArray(range) ? range : [Number.NaN, Number.NaN];
  const whole = Number.isSafeInteger(begin) && Number.isSafeInteger(end);
  if (whole && begin >= 0 && end > begin && end <= tokensK) return;
  fail(
    "shape",
    name,
    `[begin, end) within the ${tokensK} keys, not empty`,
    `[${range}]`,
    "Count keys from 0.",
  );
}

function checkedSaliency(
  given: TensorLayout | undefined,
  batches: number,
  [begin, end]: Range,
): TensorLayout {
  const dense: TensorLayout = { dtype: "f32", shape: [batches, end - begin, 1, 1] };
  if (!given) return dense;
  expectShape("saliency", given, dense.shape, ["f32"]);
  const [got, wanted] = [stridesOf(given), stridesOf(dense)];
  const isDense = dense.shape.every((size, axis) => size === 1 || got[axis] === wanted[axis]);
  if (!isDense || given.offset)
    fail("unsupported", "saliency", "a dense tensor", "strides or an offset", "Leave them out.");
  return dense;
}
