import { fail } from "../../../src/dispatch/check.js";
import { cutWorkgroups, type WorkgroupRun } from "../../../src/dispatch/cut-workgroups.js";
import { bytesOf } from "../../../src/dispatch/layout.js";
import { mostLoopRounds } from "../../../src/dispatch/loop-rounds.js";
import type { BindingSource, Pass } from "../../../src/dispatch/pass.js";
import { runPasses } from "../../../src/dispatch/run-passes.js";
import { variantKey } from "../../../src/dispatch/specialise.js";
import { problemUniforms, scoreSlots, storageConditions } from "../../softmax/pass-parts.js";
import { blockWork } from "../../softmax/work.js";
import { KEYS } from "./geometry.js";
import headDiversity from "./head_diversity.wgsl";
import {
  type Bindings,
  DIVERSITY_SLOT,
  type StatisticsParts,
  scoreBindings,
  statisticsConstants,
  sweepUniforms,
} from "./plan.js";

const THREADS = 32;
/** Of the pass that adds up: rows of a thread are one after another. */
const MEAN_THREADS = 64;

/** The comparison of heads. */
export interface DiversityPasses {
  readonly passes: readonly Pass[];
  /** Where it leaves the sums and counts of rows. */
  readonly partials: BindingSource;
  /** What its passes know of `SweepParams`, for the pass that adds up. */
  readonly sweep: Readonly<Record<string, number>>;
}

/**
 * Its ranges of keys are not those of the sweep: a thread walks over all heads for each tile of keys.
 *
 * @throws AttentionError "limit" where rows are too many, or heads for one tile of keys
 */
export function diversityPasses(parts: StatisticsParts, maxDispatchFlops: number): DiversityPasses {
  const { shape, capabilities, geometry, places } = parts;
  const { softmax, compared } = shape;
  const { batches, tokensQ, tokensK, headDim } = softmax;
  const threads = capabilities.software ? 4 : THREADS;
  const heads = compared.reduce((most, group) => Math.max(most, group.length), 0);
  const mostRounds = mostLoopRounds(capabilities);
  // Loops over registers are unrolled.
  const tileRounds = 2 + heads * (2 + Math.ceil(headDim / 4));
  const mostKeys = Math.min(
    geometry.splitKeys,
    maxDispatchFlops / (2 * headDim * heads * threads),
    Math.floor((mostRounds - 1) / tileRounds) * KEYS,
  );
  const split_keys = Math.max(KEYS, Math.floor(mostKeys / KEYS) * KEYS);
  const splits = Math.ceil(tokensK / split_keys);
  const rows = batches * compared.length * splits * tokensQ;
  if (tileRounds >= mostRounds || Math.ceil((splits * tokensQ) / MEAN_THREADS) + MEAN_THREADS > mostRounds)
    fail(
      "limit",
      "pairs that headDiversity compares",
      "so few that this driver does not end the loop over them (llvmpipe ends loops after 65,535 rounds)",
      `${heads} heads, ${tokensQ} x ${tokensK} pairs`,
      "Compare fewer heads at once, or split query rows over several calls.",
    );
  const most = capabilities.limits.maxStorageBufferBindingSize;
  if (8 * rows > most)
    fail(
      "limit",
      "partial sums of headDiversity",
      `at most ${most} bytes (the device's maxStorageBufferBindingSize)`,
      `${8 * rows} bytes`,
      "Compare fewer groups at once, or split the batch over several calls.",
    );

  const partials = { scratch: DIVERSITY_SLOT, bytes: 8 * rows };
  const pass = {
    name: "statistics/head_diversity",
    kernel: headDiversity,
    variant: variantKey(headDiversity, storageConditions(softmax, capabilities, false)),
    constants: statisticsConstants(parts, headDiversity, { THREADS: threads }),
    ...scoreSlots(softmax),
    ...(parts.unroll && { unroll: { KEYS } }),
    bindings: { ...scoreBindings(shape), partials } satisfies Bindings<"head_diversity">,
  };
  const groups = batches * compared.length * splits * Math.ceil(tokensQ / threads);
  const flops = batches * blockWork(softmax, 0, tokensQ).pairs * compared.flat().length * 2 * headDim;
  const work = threads * split_keys * heads * 2 * headDim;
  const runs = cutWorkgroups([{ work, flops: flops / groups }], groups, maxDispatchFlops);
  const sweep = { splits, split_keys, groups: compared.length, groups_at: places.compared };
  const uniforms = (run: WorkgroupRun) => ({
    params: problemUniforms(softmax, capabilities, run),
    sweep: sweepUniforms(parts, sweep),
  });
  const bytes = bytesOf(softmax.q, softmax.k, softmax.lse, softmax.bias);
  return { partials, sweep, passes: runPasses(pass, uniforms, capabilities, runs, bytes) };
}
