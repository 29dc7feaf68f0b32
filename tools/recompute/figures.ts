/** A figure of a training report, and the same one computed here. */
export interface Figure {
  readonly model: string;
  readonly what: string;
  readonly reported: number;
  readonly found: number;
  /** How far they may be apart. */
  readonly tolerance: number;
}

/** Sums in another order: of the figure itself. */
const BITS_TOLERANCE = 1e-4;
/** Images whose two largest logits are equal but for rounding. */
const IMAGES_APART = 2;
/** Standard errors between shares of different samples: chance goes beyond once in a thousand times. */
const ERRORS_APART = 3.3;

export function bitsFigure(model: string, reported: number, found: number): Figure {
  return { model, what: "bits per byte", reported, found, tolerance: BITS_TOLERANCE * reported };
}

export function accuracyFigure(model: string, reported: number, right: number, images: number): Figure {
  const tolerance = IMAGES_APART / images;
  return { model, what: "accuracy", reported, found: right / images, tolerance };
}

/** Samples from other noise than the report's: the same share but for chance. */
export function recognisedFigure(
  model: string,
  reported: { readonly recognised: number; readonly samples: number },
  right: number,
  samples: number,
): Figure {
  const found = right / samples;
  const share = (reported.recognised * reported.samples + right) / (reported.samples + samples);
  const error = Math.sqrt(share * (1 - share) * (1 / reported.samples + 1 / samples));
  const tolerance = Math.max(ERRORS_APART * error, 1 / samples);
  return { model, what: "samples recognised", reported: reported.recognised, found, tolerance };
}

export function agrees({ reported, found, tolerance }: Figure): boolean {
  return Math.abs(found - reported) <= tolerance;
}
