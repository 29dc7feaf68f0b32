import { fail } from "../../src/dispatch/check.js";

/** Which of a model's layers: `index` from 0 to `count` - 1. */
export interface LayerPosition {
  readonly index: number;
  readonly count: number;
}

/**
 * Decay rates s >= 0 per head (λ = e^-s) as in ALiBi's slopes, which lightning attention's published models use
 * (lightning-attention `slope_list`, TransNormerLLM): 2^(-8 (h + 1) / H) for a power of two; otherwise those of the largest
 * power of two below H, then every other one of the next.
 *
 * @param layer multiplies all rates by 1 - index / (count - 1) + 1e-5, so the last layer hardly decays; of a single layer the
 *   factor is 1 + 1e-5. Default factor 1
 * @throws AttentionError "shape" for counts that make no sense
 */
export function alibiSlopes(heads: number, layer?: LayerPosition): number[] {
  checkHeads(heads);
  const power = 2 ** Math.floor(Math.log2(heads));
  const slope = (index: number, of: number) => 2 ** ((-8 * (index + 1)) / of);
  const slopes = Array.from({ length: heads }, (_, head) =>
    head < power ? slope(head, power) : slope(2 * (head - power), 2 * power),
  );
  if (layer === undefined) return slopes;
  checkLayer(layer);
  const factor = 1 - (layer.count > 1 ? layer.index / (layer.count - 1) : 0) + 1e-5;
  return slopes.map((rate) => rate * factor);
}

/**
 * Decay rates of the other convention (TransNormerLLM's paper, flash-linear-attention): (8 / H) (1 - index / count) h. Head 0
 * does not decay, and the last layer still does. That convention comes with scale 1 / sqrt(D).
 *
 * @throws AttentionError "shape" for counts that make no sense
 */
export function linearSlopes(heads: number, layer: LayerPosition): number[] {
  checkHeads(heads);
  checkLayer(layer);
  return Array.from({ length: heads }, (_, head) => (8 / heads) * (1 - layer.index / layer.count) * head);
}

function checkHeads(heads: number): void {
  if (Number.isInteger(heads) && heads >= 1) return;
  fail("shape", "heads", "an integer of at least 1", heads, "Give the number of heads of one layer.");
}

function checkLayer({ index, count }: LayerPosition): void {
  if (Number.isInteger(index) && Number.isInteger(count) && index >= 0 && index < count) return;
  fail(
    "shape",
    "layer",
    "{ index, count } with 0 <= index < count",
    `{ ${index}, ${count} }`,
    "Layers count from 0.",
  );
}
