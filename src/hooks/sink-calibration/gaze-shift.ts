/** GIFT (arXiv 2510.22067): where the gaze of the question goes, made into a boost of the image's keys. Statistics in, biases out. */
import { checkFinite, checkInteger, checkKnown, checkLength, checkWithin, fail } from "../check.js";
import { descending, mean, sum } from "../rank.js";

/** Published settings of models. Layers count from 0; the enhancement's range includes both ends. */
export const GAZE_SHIFT_SETTINGS = {
  "LLaVA-1.5-7B": { saliencyLayer: 11, enhancementLayers: [12, 22], alpha: 5 },
  "LLaVA-1.5-13B": { saliencyLayer: 10, enhancementLayers: [14, 20], alpha: 5 },
  "Qwen2-VL-7B": { saliencyLayer: 14, enhancementLayers: [5, 18], alpha: 4 },
} as const;

export interface GazeSaliency {
  /** [image keys] from 0 to 1. */
  readonly saliency: Float64Array;
  /** Heads whose gaze moves most, which the saliency is taken from, ascending. */
  readonly heads: readonly number[];
}

/**
 * The image's saliency from gaze shifts D_hij = max(A_hij − A_h,i−1,j, 0): the half of the heads with the largest total, averaged
 * over heads (and over the content words that went into the sums), clamped to 3 standard deviations (n − 1) around the mean,
 * scaled to [0, 1].
 *
 * @param shifts [heads, image keys]: Σ over content-word queries i of D_hij. Row i − 1 is the neighbour in the sequence.
 * @param contentWords how many queries the sums are over
 * @throws AttentionError "shape" without content words (the published code gives NaN) or for sizes that do not fit.
 * @returns zeros where all keys are alike
 */
export function gazeSaliency(shifts: ArrayLike<number>, heads: number, contentWords: number): GazeSaliency {
  checkInteger("heads", heads, 1);
  checkInteger("contentWords", contentWords, 0);
  if (contentWords === 0)
    fail(
      "shape",
      "contentWords",
      "at least one",
      0,
      "Leave the step out for a question without content words.",
    );
  checkFinite("shifts", shifts);
  const keys = shifts.length / heads;
  if (!Number.isSafeInteger(keys) || keys < 1)
    fail("shape", "shifts", `a multiple of ${heads} values`, shifts.length, "Give [heads, image keys].");
  const rows = Array.from({ length: heads }, (_, h) =>
    Float64Array.from({ length: keys }, (_, j) => shifts[h * keys + j]!),
  );
  const chosen = topHalf(rows.map(sum));
  const averaged = Float64Array.from(
    { length: keys },
    (_, j) => chosen.reduce((total, h) => total + rows[h]![j]!, 0) / (chosen.length * contentWords),
  );
  return { saliency: scaled(clamped(averaged, 3)), heads: chosen };
}

/** To so many standard deviations around the mean. */
function clamped(values: Float64Array, deviations: number): Float64Array {
  if (values.length < 2) return values;
  const center = mean(values);
  const spread = deviations * Math.sqrt(sum(values.map((x) => (x - center) ** 2)) / (values.length - 1));
  return values.map((x) => Math.min(center + spread, Math.max(center - spread, x)));
}

function scaled(values: Float64Array): Float64Array {
  const least = values.reduce((a, b) => Math.min(a, b));
  const range = values.reduce((a, b) => Math.max(a, b)) - least;
  return values.map((x) => (range > 0 ? (x - least) / range : 0));
}

/** ⌊n / 2⌋ heads with the largest values (one of one), ascending; equals: the smaller index. */
function topHalf(values: ArrayLike<number>): number[] {
  return descending(values)
    .slice(0, Math.max(1, Math.floor(values.length / 2)))
    .sort((a, b) => a - b);
}

export interface GazeEnhancementInputs {
  /** [image keys] as `gazeSaliency` gives it. */
  readonly saliency: ArrayLike<number>;
  /** [heads] weight of the last query on the image's keys. */
  readonly imageMass: ArrayLike<number>;
  /** [heads] Σ_j A_j e^(α S_j) over the image's keys. */
  readonly enhancedMass: ArrayLike<number>;
  /** [heads] weight of the last query on the question's keys. */
  readonly questionMass: ArrayLike<number>;
}

export interface GazeEnhancement {
  /** [image keys] α S_j, to be added to the scores of the image's keys in `imageHeads`. */
  readonly imageBias: Float64Array;
  readonly imageHeads: readonly number[];
  /** ln r, to be added to the scores of the question's keys in `questionHeads`. */
  readonly questionBias: number;
  readonly questionHeads: readonly number[];
}

/**
 * What to add to the scores of the last query row so that salient image keys weigh more, and the question's keys in proportion:
 * α S_j in the half of the heads that looks at the image most, ln r in the half that looks at the question most, with
 * r = Σ enhanced / Σ original image mass of the former.
 *
 * @param alpha default 5: see `GAZE_SHIFT_SETTINGS`. 0 changes nothing.
 * @throws AttentionError "shape" for sizes that differ or values that are not finite.
 */
export function gazeEnhancement(
  { saliency, imageMass, enhancedMass, questionMass }: GazeEnhancementInputs,
  options: { readonly alpha?: number } = {},
): GazeEnhancement {
  checkKnown("gazeEnhancement", options, ["alpha"]);
  const { alpha = 5 } = options;
  checkWithin("alpha", alpha, 0);
  checkFinite("saliency", saliency);
  checkFinite("imageMass", imageMass);
  checkLength("enhancedMass", enhancedMass, imageMass.length, "one for each head");
  checkLength("questionMass", questionMass, imageMass.length, "one for each head");
  const imageHeads = topHalf(imageMass);
  const total = (masses: ArrayLike<number>) => imageHeads.reduce((mass, h) => mass + masses[h]!, 0);
  const original = total(imageMass);
  return {
    imageBias: Float64Array.from(saliency, (s) => alpha * s),
    imageHeads,
    // Without weight on the image there is nothing to keep in proportion.
    questionBias: original > 0 && alpha > 0 ? Math.log(total(enhancedMass) / original) : 0,
    questionHeads: topHalf(questionMass),
  };
}
