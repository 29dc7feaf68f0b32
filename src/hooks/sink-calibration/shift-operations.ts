import { checkKnown, checkWithin, fail } from "../check.js";
import type { KeySet, ShiftOperation, SinkRule, SinkUpdate } from "../operations.js";

export interface AttentionCalibrationOptions {
  /** Mean received weight above which a key is a sink. Default 0.1, unless `alpha` is given. */
  readonly theta?: number;
  /** ... in 1 / keys instead. */
  readonly alpha?: number;
  /** The share that a sink keeps. Default 0.4. */
  readonly beta?: number;
  /** Default [0]. */
  readonly protect?: readonly number[];
  /** While decoding. Default "prefill". */
  readonly update?: SinkUpdate;
}

/**
 * Attention calibration (ACT, arXiv 2406.15765) as an operation on a head: sinks keep β of their weight, all other visible keys share
 * the rest in proportion to what they have.
 *
 * @throws AttentionError "unsupported" for both thresholds at once, "shape" for numbers out of range.
 */
export function attentionCalibration(options: AttentionCalibrationOptions = {}): ShiftOperation {
  checkKnown("attentionCalibration", options, ["theta", "alpha", "beta", "protect", "update"]);
  const { theta, alpha, beta = 0.4, protect = [0], update = "prefill" } = options;
  if (theta !== undefined && alpha !== undefined)
    fail(
      "unsupported",
      "theta and alpha",
      "one of the two",
      "both",
      "theta is absolute, alpha counts in 1 / keys.",
    );
  checkWithin("beta", beta, 0, 1);
  checkWithin(alpha === undefined ? "theta" : "alpha", alpha ?? theta ?? 0, 0);
  if (update !== "prefill" && update !== "running")
    fail("unsupported", "update", '"prefill" or "running"', update, "Leave it out for prefill.");
  const sinks: SinkRule =
    alpha === undefined
      ? { received: "abs", theta: theta ?? 0.1, update }
      : { received: "perKeys", alpha, update };
  return { kind: "shift", sinks, keep: beta, recipients: "nonsinks", protect };
}

export interface VisualSinkOptions {
  /** Keys of the image's tokens, [begin, end). */
  readonly image: readonly [begin: number, end: number];
  /** How sinks are found: by channels of the hidden state, or given. */
  readonly sinks: Extract<SinkRule, { hidden: unknown } | { keys: unknown }>;
  /** Default 0.6. Published: sinks give away p. Authors' code: sinks keep p. */
  readonly p?: number;
  /** Default 0.5; 0.8 for general questions, 0.9 for vision-centric ones in the paper. */
  readonly rho?: number;
  /** The least weight on the image. Default 0.2. */
  readonly leastImageMass?: number;
  /**
   * Default "paper": rows whose share of non-sinks in the image's weight is at least rho. "authors": rows whose share of sinks is at
   * most rho, which is laxer for rho above 0.5, and nothing without a sink in the image.
   */
  readonly variant?: "paper" | "authors";
}

/**
 * Visual attention redistribution (VAR, arXiv 2503.03321) as an operation on a head: for queries after the image, what all sinks give
 * away goes to the image's other keys. Nothing keeps it from being applied in the last layer: leave that out.
 *
 * @throws AttentionError "shape" for numbers out of range, "unsupported" for another variant.
 */
export function visualRedistribution(options: VisualSinkOptions): ShiftOperation {
  const known = ["image", "sinks", "p", "rho", "leastImageMass", "variant"];
  checkKnown("visualRedistribution", options, known);
  const { image, sinks, p = 0.6, rho = 0.5, leastImageMass = 0.2, variant = "paper" } = options;
  checkWithin("p", p, 0, 1);
  checkWithin("rho", rho, 0, 1);
  checkWithin("leastImageMass", leastImageMass, 0);
  const [begin, end] = Array.isArray(image) ? image : [Number.NaN, Number.NaN];
  if (!(Number.isSafeInteger(begin) && Number.isSafeInteger(end) && begin >= 0 && end > begin))
    fail("shape", "image", "[begin, end) with at least one key", `[${image}]`, "Count keys from 0.");
  if (variant !== "paper" && variant !== "authors")
    fail("unsupported", "variant", '"paper" or "authors"', variant, "Choose one of them.");
  const keys: KeySet = { range: image };
  const mass = [keys, leastImageMass] as const;
  return {
    kind: "shift",
    sinks,
    keep: variant === "paper" ? 1 - p : p,
    recipients: keys,
    rows: { from: image[1] },
    gate: variant === "paper" ? { mass, ratio: [keys, keys, rho] } : { mass, portion: [keys, rho] },
  };
}
