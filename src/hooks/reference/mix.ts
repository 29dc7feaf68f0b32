import type { MixOperation } from "../operations.js";
import { type AttentionMap, argmax, mapRows, sees, seesItself } from "./attention-map.js";
import { identityPath } from "./identity-path.js";

/**
 * A pattern moved towards its target (arXiv 2506.10978, equation 7 and the authors' code). u = 0 is the map itself.
 *
 * @param meanQuery the map of the mean query, for that target
 */
export function mixed(
  map: AttentionMap,
  { target, u, path = "linear" }: MixOperation,
  meanQuery: () => AttentionMap,
): AttentionMap {
  if (u === 0) return map;
  if (target === "identity" && path !== "linear") return identityPath(map, path, u);
  const towards = targetOf(map, target, meanQuery);
  return mapRows(map, (row, i) => {
    const goal = towards(i);
    return goal ? row.map((weight, j) => (1 - u) * weight + u * goal[j]!) : row;
  });
}

/** The target's row for a query row; nothing where it has none, whose row then stays. */
function targetOf(
  map: AttentionMap,
  target: MixOperation["target"],
  meanQuery: () => AttentionMap,
): (i: number) => Float64Array | undefined {
  const { keys } = map;
  const oneHot = (key: number) => Float64Array.from({ length: keys }, (_, j) => (j === key ? 1 : 0));
  switch (target) {
    case "identity":
      return (i) => (seesItself(map, i) ? oneHot(i + map.offset) : undefined);
    case "uniform":
      return (i) => {
        const visible = Float64Array.from({ length: keys }, (_, j) => (sees(map, i, j) ? 1 : 0));
        const count = visible.reduce((a, b) => a + b);
        return count > 0 ? visible.map((x) => x / count) : undefined;
      };
    case "argmax":
      return (i) => {
        const key = argmax(map, i);
        return key < 0 ? undefined : oneHot(key);
      };
    case "meanQuery": {
      const { weights } = meanQuery();
      return (i) => weights.subarray(i * keys, (i + 1) * keys);
    }
    case "zero":
      return () => new Float64Array(keys);
  }
}

/** The mean of all queries, or (causal) of each query and those before it, one for each row. */
export function meanQueries(queries: readonly Float64Array[], causal: boolean): Float64Array[] {
  const meanOf = (count: number) =>
    queries[0]!.map((_, d) => queries.slice(0, count).reduce((sum, query) => sum + query[d]!, 0) / count);
  const whole = meanOf(queries.length);
  return queries.map((_, i) => (causal ? meanOf(i + 1) : whole));
}
