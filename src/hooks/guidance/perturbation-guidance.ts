import { checkKnown, checkLength, checkWithin, fail } from "../check.js";

export interface GuidanceInputs {
  /** Prediction of the unchanged network for the prompt. */
  readonly eps: Float32Array;
  /** Prediction of the same network for the same prompt, some of its heads perturbed. */
  readonly perturbed: Float32Array;
  /** Prediction without prompt, for classifier-free guidance beside it. */
  readonly unconditional?: Float32Array;
}

export interface GuidanceOptions {
  /** Strength w of the perturbation guidance. Published: 3 for SD3, 8 for FLUX.1-dev. */
  readonly w: number;
  /** Strength g of the classifier-free guidance; needs `unconditional`. */
  readonly cfg?: number;
  /** Where the result goes; may be one of the inputs. Default a new array. */
  readonly out?: Float32Array;
}

/**
 * The noise prediction led away from what perturbed heads predict (PAG, SoftPAG, HeadHunter; arXiv 2506.10978, equation 5):
 * ε + w (ε − ε_perturbed), and with classifier-free guidance ε_u + g (ε − ε_u) + w (ε − ε_perturbed).
 *
 * All arrays have the same length, in any order of elements. w = 0 without classifier-free guidance gives ε bit by bit.
 * The arithmetic is float64, rounded once.
 *
 * @throws AttentionError "shape" for arrays of different lengths or strengths that are not finite, "unsupported" when one of
 * `cfg` and `unconditional` is given without the other.
 */
export function perturbationGuidance(inputs: GuidanceInputs, options: GuidanceOptions): Float32Array {
  checkKnown("perturbationGuidance", options, ["w", "cfg", "out"]);
  const { eps, perturbed, unconditional } = inputs;
  const { w, cfg, out = new Float32Array(eps.length) } = options;
  checkWithin("w", w, Number.NEGATIVE_INFINITY);
  checkLength("perturbed", perturbed, eps.length, "one for each of eps");
  checkLength("out", out, eps.length, "one for each of eps");
  if ((cfg === undefined) !== (unconditional === undefined)) {
    const got = cfg === undefined ? "only unconditional" : "only cfg";
    fail(
      "unsupported",
      "cfg and unconditional",
      "both or neither",
      got,
      "Give both for classifier-free guidance.",
    );
  }
  if (cfg === undefined || !unconditional) {
    if (w === 0) {
      // Adding 0 would turn −0 into 0, and 0 · ∞ into NaN.
      out.set(eps);
      return out;
    }
    for (let i = 0; i < eps.length; i++) out[i] = eps[i]! + w * (eps[i]! - perturbed[i]!);
    return out;
  }
  checkWithin("cfg", cfg, Number.NEGATIVE_INFINITY);
  checkLength("unconditional", unconditional, eps.length, "one for each of eps");
  for (let i = 0; i < eps.length; i++) {
    const [e, u] = [eps[i]!, unconditional[i]!];
    out[i] = u + cfg * (e - u) + w * (e - perturbed[i]!);
  }
  return out;
}
