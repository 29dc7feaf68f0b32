import type { Capabilities } from "../../../src/dispatch/capabilities.js";
import { cutWorkgroups, type WorkgroupRun } from "../../../src/dispatch/cut-workgroups.js";
import type { ConstantValues, KernelModule } from "../../../src/dispatch/kernel-module.js";
import { bytesOf } from "../../../src/dispatch/layout.js";
import type { BindingSource, KernelBindings, Pass } from "../../../src/dispatch/pass.js";
import { runPasses } from "../../../src/dispatch/run-passes.js";
import { knownConstants, variantKey } from "../../../src/dispatch/specialise.js";
import type { UniformValues } from "../../../src/dispatch/uniforms.js";
import {
  maskBindings,
  problemConstants,
  problemUniforms,
  scoreSlots,
  storageConditions,
} from "../../softmax/pass-parts.js";
import { blockWork } from "../../softmax/work.js";
import type { BINDINGS } from "./bindings.js";
import { type SweepGeometry, sweepGeometry, sweepRegions } from "./geometry.js";
import headDiversity from "./head_diversity.wgsl";
import { outputPasses } from "./output-passes.js";
import type { StatisticsShape } from "./problem.js";
import { type RequestedSums, requestedSums } from "./sums.js";
import sweepKernel from "./sweep.wgsl";
import { statisticsWords, type WordPlaces } from "./words.js";

/** What a plan may choose by, besides the problem and the device. */
export interface StatisticsPlanOptions {
  /** Operations of the scores that one dispatch may hold; default no bound. */
  readonly maxDispatchFlops?: number;
  /** Whether loops over registers are unrolled before the driver sees them. Default where the processor computes: GPU compilers do it. */
  readonly unroll?: boolean;
}

/** What all passes of a plan share. */
export interface StatisticsParts {
  readonly shape: StatisticsShape;
  readonly capabilities: Capabilities;
  readonly sums: RequestedSums;
  readonly geometry: SweepGeometry;
  readonly places: WordPlaces;
  readonly unroll: boolean;
}

/** What a pass has to bind; its uniforms stand apart. */
export type Bindings<Kernel extends keyof typeof BINDINGS> = Omit<
  KernelBindings<typeof BINDINGS, Kernel>,
  "sweep" | "output" | "carried"
>;

/** Scratch of the sweep, and of the comparison of heads. */
const [SWEEP_SLOT, DIVERSITY_SLOT] = [0, 1];

/** Chooses passes, variants and constants for a checked problem. Pure: the same problem gives the same passes. */
export function planStatistics(
  shape: StatisticsShape,
  capabilities: Capabilities,
  options: StatisticsPlanOptions = {},
): Pass[] {
  const { maxDispatchFlops = Number.POSITIVE_INFINITY, unroll = capabilities.software } = options;
  const sums = requestedSums(shape);
  const pairFlops = 2 * shape.softmax.headDim;
  const geometry = sweepGeometry(shape, sums, capabilities, maxDispatchFlops / pairFlops);
  const parts = { shape, capabilities, sums, geometry, places: statisticsWords(shape).places, unroll };
  const regions = sweepRegions(shape, sums, geometry);
  const partials = {
    scratch: SWEEP_SLOT,
    bytes:
      4 *
      Math.max(
        1,
        regions.reduce((a, b) => a + b, 0),
      ),
  };
  const swept = regions.some((floats) => floats > 0);
  const compared = shape.request.headDiversity ? diversityPass(parts, maxDispatchFlops) : undefined;
  return [
    ...(swept ? sweepPasses(parts, partials, maxDispatchFlops) : []),
    ...(compared?.passes ?? []),
    ...outputPasses(parts, partials, compared?.partials),
  ];
}

/** Uniforms of `sweep_params.wgsl`. */
export function sweepUniforms(
  { shape, sums, geometry, places }: StatisticsParts,
  changes: Readonly<Record<string, number>> = {},
): UniformValues {
  const [rows, columns, map] = sweepRegions(shape, sums, geometry);
  const { low = 0, high = 0, from = -(2 ** 30) } = shape.request.futureInfluence ?? {};
  return {
    cells: geometry.cells,
    per_cell: geometry.perCell,
    cell_step: geometry.cellStep,
    cell_rounds: geometry.cellRounds,
    splits: geometry.splits,
    split_keys: geometry.splitKeys,
    columns: sums.columns,
    first_round: 0,
    rounds: geometry.rounds,
    heads: shape.heads.length,
    groups: shape.groups.length,
    heads_at: places.heads,
    groups_at: places.groups,
    sets_at: places.sets,
    diagonals_at: places.diagonals,
    columns_at: rows,
    map_at: rows + columns,
    top_at: rows + columns + map,
    distance_window: shape.request.windowedDistance ?? 0,
    low,
    high,
    look_from: from,
    ...changes,
  };
}

/** Constants of the shared files, as far as a kernel knows them. */
export function statisticsConstants(
  { shape, sums }: StatisticsParts,
  kernel: KernelModule,
  own: ConstantValues = {},
): ConstantValues {
  const shared = { ROW_SUMS: sums.row, COLUMN_SUMS: sums.column, TOP: sums.top };
  return {
    ...problemConstants(shape.softmax, kernel),
    ...knownConstants(kernel, { ...shared, HAS_ROW_TERMS: shape.rowTerms !== undefined, ...own }),
  };
}

/** Of the kernels that score pairs. */
export function scoreBindings({
  softmax,
  rowTerms,
}: StatisticsShape): Record<"q" | "k" | "lse" | "terms" | "bias" | "key_mask" | "row_terms", BindingSource> {
  return {
    q: { tensor: "q" },
    k: { tensor: "k" },
    lse: { tensor: "lse" },
    ...maskBindings(softmax),
    row_terms: rowTerms ? { tensor: "rowTerms" } : { unused: true },
  };
}

function sweepPasses(parts: StatisticsParts, partials: BindingSource, maxDispatchFlops: number): Pass[] {
  const { shape, capabilities, sums, geometry } = parts;
  const { softmax, request } = shape;
  const { threads, rows, keys, quads } = geometry;
  const conditions = [...storageConditions(softmax, capabilities, false), ...(quads ? ["subgroups"] : [])];
  const sets = request.mass?.length ?? 0;
  const pass = {
    name: "statistics/sweep",
    kernel: sweepKernel,
    variant: variantKey(sweepKernel, conditions),
    constants: statisticsConstants(parts, sweepKernel, {
      THREADS: threads,
      ROWS: rows,
      KEYS: keys,
      ENTROPY: request.entropy === true,
      SQUARES: request.squares === true,
      DISTANCE: request.distance === true,
      WINDOWED_DISTANCE: request.windowedDistance !== undefined,
      SETS: sets,
      MAP: request.map !== undefined,
      ...Object.fromEntries([...sums.columnSums.keys()].map((name) => [name, true])),
    }),
    ...scoreSlots(softmax),
    ...(parts.unroll && {
      unroll: { ROWS: rows, KEYS: keys, KEY_QUADS: keys / 4, OWN_KEYS: quads ? keys / 4 : keys, SETS: sets },
    }),
    bindings: { ...scoreBindings(shape), partials } satisfies Bindings<"sweep">,
  };
  const pairs = softmax.batches * shape.heads.length;
  const groups = pairs * geometry.splits * geometry.cellStep * geometry.perCell;
  const flops = pairs * blockWork(softmax, 0, softmax.tokensQ).pairs * 2 * softmax.headDim;
  const bytes = bytesOf(softmax.q, softmax.k, softmax.lse, softmax.bias);
  const passes: Pass[] = [];
  for (let first = 0; first < geometry.rounds; first += geometry.dispatchRounds) {
    const count = Math.min(geometry.dispatchRounds, geometry.rounds - first);
    const share = count / geometry.rounds;
    const work = count * geometry.tilePairs * 2 * softmax.headDim;
    const runs = cutWorkgroups([{ work, flops: (flops * share) / groups }], groups, maxDispatchFlops);
    const uniforms = (run: WorkgroupRun) => ({
      params: problemUniforms(softmax, capabilities, run),
      sweep: sweepUniforms(parts, { first_round: first, rounds: count }),
    });
    passes.push(...runPasses(pass, uniforms, capabilities, runs, bytes * share));
  }
  return passes;
}

const DIVERSITY_THREADS = 32;

/** The comparison of heads, and where it leaves the sums and counts of rows. */
function diversityPass(parts: StatisticsParts, maxDispatchFlops: number) {
  const { shape, capabilities, geometry, places } = parts;
  const { softmax, compared } = shape;
  const { batches, tokensQ, headDim } = softmax;
  const threads = capabilities.software ? 4 : DIVERSITY_THREADS;
  const rows = batches * compared.length * geometry.splits * tokensQ;
  const partials = { scratch: DIVERSITY_SLOT, bytes: 8 * rows };
  const pass = {
    name: "statistics/head_diversity",
    kernel: headDiversity,
    variant: variantKey(headDiversity, storageConditions(softmax, capabilities, false)),
    constants: statisticsConstants(parts, headDiversity, { THREADS: threads }),
    ...scoreSlots(softmax),
    ...(parts.unroll && { unroll: { KEYS: 8 } }),
    bindings: { ...scoreBindings(shape), partials } satisfies Bindings<"head_diversity">,
  };
  const groups = batches * compared.length * geometry.splits * Math.ceil(tokensQ / threads);
  const heads = compared.reduce((most, group) => Math.max(most, group.length), 0);
  const flops = batches * blockWork(softmax, 0, tokensQ).pairs * compared.flat().length * 2 * headDim;
  const work = threads * geometry.splitKeys * heads * 2 * headDim;
  const runs = cutWorkgroups([{ work, flops: flops / groups }], groups, maxDispatchFlops);
  const uniforms = (run: WorkgroupRun) => ({
    params: problemUniforms(softmax, capabilities, run),
    sweep: sweepUniforms(parts, { groups: compared.length, groups_at: places.compared }),
  });
  const bytes = bytesOf(softmax.q, softmax.k, softmax.lse, softmax.bias);
  return { partials, passes: runPasses(pass, uniforms, capabilities, runs, bytes) };
}
