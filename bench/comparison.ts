import type { ContenderName, PeerName } from "./contender.js";
import type { CallResult, MatmulSamples, RowResult } from "./results.js";
import { median, medianRatio, type Summary, summarise } from "./statistics.js";
import { rowName, sameSizes } from "./suite.js";

/** A call and what its samples say. */
export interface TimedCall {
  readonly contender: ContenderName;
  readonly call: string;
  readonly samples: readonly number[];
  readonly ms: Summary;
}

/** What a row means, beyond its samples. */
export interface RowComparison {
  readonly row: string;
  /** Each contender's fastest right call. */
  readonly fastest: readonly TimedCall[];
  readonly gflops?: number;
  /** The faster of the matrix products in the same rounds. */
  readonly matmulGflops?: number;
  /** Our rate over the matrix product's, round by round. */
  readonly fractionOfMatmul?: number;
  /** The fastest right peer's time over ours, round by round: above 1 we are faster. */
  readonly againstPeer?: { readonly peer: PeerName; readonly speedup: number };
}

export function compareRow(result: RowResult): RowComparison {
  const fastest = fastestCalls(result.calls);
  const ours = fastest.find(({ contender }) => contender === "ours");
  const [peer] = fastest
    .filter(({ contender }) => contender !== "ours")
    .sort((a, b) => a.ms.median - b.ms.median);
  const matmul = fastestMatmul(result.matmul);
  return {
    row: rowName(result),
    fastest,
    ...(matmul && { matmulGflops: matmul.gflops }),
    ...(ours && { gflops: rate(result.flops, ours.ms.median) }),
    ...(ours &&
      matmul && {
        fractionOfMatmul: (medianRatio(matmul.samples, ours.samples) * result.flops) / matmul.flops,
      }),
    ...(ours &&
      peer && {
        againstPeer: { peer: peer.contender as PeerName, speedup: medianRatio(peer.samples, ours.samples) },
      }),
  };
}

/** The fastest matrix product that was measured, and its rate. */
export function fastestMatmul(
  products: readonly MatmulSamples[],
): (MatmulSamples & { readonly gflops: number }) | undefined {
  const [fastest] = products
    .filter(({ samples }) => samples.length > 0)
    .map((product) => ({ ...product, gflops: rate(product.flops, median(product.samples)) }))
    .sort((a, b) => b.gflops - a.gflops);
  return fastest;
}

/** Each contender's fastest call among those that were timed. */
function fastestCalls(calls: readonly CallResult[]): TimedCall[] {
  const fastest = new Map<ContenderName, TimedCall>();
  for (const { contender, call, samples } of calls) {
    if (samples.length === 0) continue;
    const ms = summarise(samples);
    const known = fastest.get(contender);
    if (!known || ms.median < known.ms.median) fastest.set(contender, { contender, call, samples, ms });
  }
  return [...fastest.values()];
}

/** Causal against full attention of the same sizes: half of the work, and a little. */
export interface CausalRatio {
  readonly row: string;
  /** Round by round, by contender. */
  readonly ratios: Partial<Record<ContenderName, number>>;
}

export function causalRatios(results: readonly RowResult[]): CausalRatio[] {
  return results.flatMap((causal) => {
    if (!causal.problem.options.causal) return [];
    const full = results.find((other) => !other.problem.options.causal && sameSizes(causal, other));
    if (!full) return [];
    const ratios: CausalRatio["ratios"] = {};
    const fullCalls = fastestCalls(full.calls);
    for (const { contender, samples } of fastestCalls(causal.calls)) {
      const base = fullCalls.find((other) => other.contender === contender);
      if (base) ratios[contender] = medianRatio(samples, base.samples);
    }
    return [{ row: `${rowName(causal)} / ${full.problem.name}`, ratios }];
  });
}

/** GFLOP/s */
export function rate(flops: number, ms: number): number {
  return flops / ms / 1e6;
}
