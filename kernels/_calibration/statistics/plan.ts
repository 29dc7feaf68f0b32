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
import clear from "./clear.wgsl";
import { diversityPasses } from "./diversity-pass.js";
import { type SweepGeometry, sweepGeometry, sweepRegions } from "./geometry.js";
import { outputPasses } from "./output-passes.js";
import type { StatisticsShape } from "./problem.js";
import { type RequestedSums, requestedSums } from "./sums.js";
import sweepKernel from "./sweep.wgsl";
import { type WordPlaces, wordPlaces } from "./words.js";

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
export const [SWEEP_SLOT, DIVERSITY_SLOT] = [0, 1];

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
  const parts = { shape, capabilities, sums, geometry, places: wordPlaces(shape), unroll };
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
  const compared = shape.request.headDiversity ? diversityPasses(parts, maxDispatchFlops) : undefined;
  return [
    ...clearPasses(parts, regions, partials, maxDispatchFlops),
    ...(swept ? sweepPasses(parts, partials, maxDispatchFlops) : []),
    ...(compared?.passes ?? []),
    ...outputPasses(parts, partials, compared),
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

const CLEAR_THREADS = 64;
/** What a thread that clears a number counts as, in operations. */
const CLEAR_FLOPS = 16;

/** Zeroes of what the sweep adds to, its sums of keys and of cells; none where it only writes. */
function clearPasses(
  parts: StatisticsParts,
  [, columns, map]: ReturnType<typeof sweepRegions>,
  partials: BindingSource,
  maxDispatchFlops: number,
): Pass[] {
  if (columns + map === 0) return [];
  const { shape, capabilities } = parts;
  const pass = {
    name: "statistics/clear",
    kernel: clear,
    variant: "base",
    constants: { THREADS: CLEAR_THREADS },
    bindings: { partials } satisfies Bindings<"clear">,
  };
  const uniforms = (run: WorkgroupRun) => ({
    params: problemUniforms(shape.softmax, capabilities, run),
    sweep: sweepUniforms(parts),
  });
  const groups = Math.ceil((columns + map) / CLEAR_THREADS);
  const runs = cutWorkgroups([{ work: CLEAR_THREADS * CLEAR_FLOPS, flops: 0 }], groups, maxDispatchFlops);
  return runPasses(pass, uniforms, capabilities, runs, 4 * (columns + map));
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
      SHIFTS: geometry.shifts,
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
      unroll: {
        ROWS: rows,
        KEYS: keys,
        SHIFTS: geometry.shifts,
        KEY_QUADS: keys / 4,
        OWN_KEYS: quads ? keys / 4 : keys,
        SETS: sets,
        // Quads add up without a loop.
        ...(!quads && { THREADS: threads }),
      },
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
