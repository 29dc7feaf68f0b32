import type { ScoreMod } from "../../softmax/index.js";

/**
 * Scores of log-linear paths: a row's times a factor, its own position's plus a bonus. What hides its key stays hidden. Without branches:
 * kernels repeat it for every score of a tile, and some drivers take minutes over so many.
 *
 * @param pathTerms as `row_facts.wgsl` leaves them, [B, Hq, Tq]
 */
export function pathMod(pathTerms: GPUBuffer, heads: number, tokensQ: number): ScoreMod {
  return {
    wgsl: `
  let term = path_terms[(b * path_heads + h) * path_rows + min(i, path_rows - 1u)];
  let changed = term.x * score + select(0.0, term.y, i32(j) == query_position(b, i));
  return select(changed, score, score <= -1.0e38);`,
    constants: { path_heads: heads, path_rows: tokensQ },
    bindings: { path_terms: { type: "array<vec2f>", data: pathTerms } },
  };
}

/** Equal scores for all keys that are not hidden by theirs. */
export const UNIFORM_MOD: ScoreMod = { wgsl: "return select(0.0, score, score <= -1.0e38);" };
