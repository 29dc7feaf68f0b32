import { checkInteger, checkKnown, checkLength, checkWithin, fail } from "../check.js";
import type { RhythmTokens } from "./rhythm.js";

export interface AdvantageWeightOptions {
  /** - `local`: preplan tokens, `global`: anchors, `coupled`: anchors, dominated ones sharing theirs with what introduces them. */
  readonly credit: "local" | "global" | "coupled";
  /** γ, the weight of a chosen token. Default 1.5. */
  readonly gamma?: number;
  /** Coupled: the share that goes from a dominated anchor to its introduction. Not published; default 0.5 here. */
  readonly alpha?: number;
}

/**
 * Weights of the advantages (arXiv 2510.13554, section 4): 1 + (γ − 1) for chosen tokens, 1 for others; coupled
 * 1 + (γ − 1)[T_glob ∖ D] + (1 − α)(γ − 1)[D] + α(γ − 1)[I(D)].
 *
 * @param tokens number of positions, those before the response included
 * @throws AttentionError "shape" for a position outside the sequence or options out of range, "unsupported" for another `credit`.
 */
export function advantageWeights(
  { preplan, anchors, dominated, intro }: Omit<RhythmTokens, "delta">,
  tokens: number,
  options: AdvantageWeightOptions,
): Float64Array {
  checkKnown("advantageWeights", options, ["credit", "gamma", "alpha"]);
  const { credit, gamma = 1.5, alpha = 0.5 } = options;
  checkInteger("tokens", tokens, 1);
  checkWithin("gamma", gamma, 0);
  checkWithin("alpha", alpha, 0, 1);
  const weights = new Float64Array(tokens).fill(1);
  const add = (positions: readonly number[], amount: number) => {
    for (const position of positions) {
      if (Number.isInteger(position) && position >= 0 && position < tokens) weights[position]! += amount;
      else
        fail(
          "shape",
          "position",
          `one of ${tokens} tokens`,
          position,
          "Count positions from the sequence's start.",
        );
    }
  };
  if (credit === "local") add(preplan, gamma - 1);
  else if (credit === "global") add(anchors, gamma - 1);
  else if (credit === "coupled") {
    const introduced = new Set(dominated);
    add(
      anchors.filter((anchor) => !introduced.has(anchor)),
      gamma - 1,
    );
    add(dominated, (1 - alpha) * (gamma - 1));
    add(intro, alpha * (gamma - 1));
  } else fail("unsupported", "credit", '"local", "global" or "coupled"', credit, "Choose one of them.");
  return weights;
}

/**
 * Advantages times their weights. The paper's first version leaves negative advantages alone; its second scales both signs.
 *
 * @param version default "v2"
 * @throws AttentionError "shape" for lengths that differ, "unsupported" for another version.
 */
export function scaleAdvantages(
  advantages: ArrayLike<number>,
  weights: ArrayLike<number>,
  version: "v1" | "v2" = "v2",
): Float64Array {
  checkLength("weights", weights, advantages.length, "one for each advantage");
  if (version !== "v1" && version !== "v2")
    fail("unsupported", "version", '"v1" or "v2"', version, "Choose one of them.");
  return Float64Array.from(advantages, (advantage, index) =>
    version === "v1" && advantage < 0 ? advantage : advantage * weights[index]!,
  );
}
