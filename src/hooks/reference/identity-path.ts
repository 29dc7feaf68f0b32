import { type AttentionMap, mapRows, sees, seesItself } from "./attention-map.js";

/** How the authors' code smooths the identity where its logarithm is taken. */
const SMOOTHING = 1e-6;
/** Below this angle slerp's weights are the straight line's. */
const SMALL_ANGLE = 1e-4;

/**
 * Ways from a pattern to the identity that are not straight (the code of arXiv 2506.10978), t = 1 − u, rows renormalised to the
 * sum that they had:
 *
 * - Fisher–Rao: (u I + t √A)²
 * - slerp: (c₁ I + c₂ √A)² with sin(uθ) / sin θ and sin(tθ) / sin θ, θ = acos √A_ii
 * - log-linear: p^u A^t over the visible keys, p the identity smoothed
 *
 * A query that does not see itself keeps its row.
 */
export function identityPath(
  map: AttentionMap,
  path: "fisherRao" | "slerp" | "logLinear",
  u: number,
): AttentionMap {
  if (u === 0) return map;
  const t = 1 - u;
  return mapRows(map, (row, i) => {
    if (!seesItself(map, i)) return row;
    const own = i + map.offset;
    const total = row.reduce((a, b) => a + b, 0);
    if (path === "logLinear") {
      const visible = row.reduce((count, _, j) => count + (sees(map, i, j) ? 1 : 0), 0);
      const moved = row.map((weight, j) => {
        if (!sees(map, i, j)) return 0;
        return smoothed(j === own, visible) ** u * weight ** t;
      });
      return renormalised(moved, total);
    }
    const [toIdentity, toPattern] = path === "slerp" ? slerpWeights(row[own]!, u) : [u, t];
    const moved = row.map((weight, j) => (toPattern * Math.sqrt(weight) + (j === own ? toIdentity : 0)) ** 2);
    return renormalised(moved, total);
  });
}

function slerpWeights(diagonal: number, u: number): [number, number] {
  const angle = Math.acos(Math.min(1, Math.sqrt(diagonal)));
  if (angle < SMALL_ANGLE) return [u, 1 - u];
  return [Math.sin(u * angle) / Math.sin(angle), Math.sin((1 - u) * angle) / Math.sin(angle)];
}

/** The identity's entry, smoothed over the visible keys so that a row still sums to 1. */
function smoothed(isOwn: boolean, visible: number): number {
  return isOwn ? 1 - (visible - 1) * SMOOTHING : SMOOTHING;
}

function renormalised(row: Float64Array, total: number): Float64Array {
  const sum = row.reduce((a, b) => a + b, 0);
  return sum > 0 ? row.map((weight) => (weight / sum) * total) : row;
}
