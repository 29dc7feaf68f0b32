import { fail } from "../../../src/dispatch/check.js";
import type { KernelModule } from "../../../src/dispatch/kernel-module.js";
import { bytesOf, layoutUniforms } from "../../../src/dispatch/layout.js";
import { mostLoopRounds } from "../../../src/dispatch/loop-rounds.js";
import { type BindingSource, type Pass, spreadWorkgroups } from "../../../src/dispatch/pass.js";
import { variantKey } from "../../../src/dispatch/specialise.js";
import { elementCount, type TensorLayout } from "../../../src/dispatch/tensor-view.js";
import type { UniformValues } from "../../../src/dispatch/uniforms.js";
import { maskBindings, problemUniforms, scoreSlots, storageConditions } from "../../softmax/pass-parts.js";
import diagonals from "./diagonals.wgsl";
import type { DiversityPasses } from "./diversity-pass.js";
import keyStatistics from "./key_statistics.wgsl";
import mapCells from "./map_cells.wgsl";
import meanDiversity from "./mean_diversity.wgsl";
import type { StatisticName } from "./options.js";
import {
  type Bindings,
  type StatisticsParts,
  scoreBindings,
  statisticsConstants,
  sweepUniforms,
} from "./plan.js";
import rowStatistics from "./row_statistics.wgsl";
import topKeys from "./top_keys.wgsl";

const THREADS = 64;

/** A pass that writes one statistic. */
interface OutputDraft {
  readonly name: StatisticName;
  readonly kernel: KernelModule;
  readonly constants?: Record<string, number | boolean>;
  readonly bindings: Readonly<Record<string, BindingSource>>;
  /** The first of the sums that it is made of. */
  readonly sum?: number;
  /** Numbers of a token that a thread writes, where it is not one. */
  readonly together?: number;
  readonly slots?: Pick<Pass, "slots" | "slotBindings">;
  readonly conditions?: readonly string[];
  readonly uniforms?: Readonly<Record<string, UniformValues>>;
  readonly sweep?: Readonly<Record<string, number>>;
  readonly read?: number;
}

/** Passes that make statistics of the partial sums, one for each output, in the order of the outputs. */
export function outputPasses(
  parts: StatisticsParts,
  partials: BindingSource & { readonly bytes: number },
  diversity: DiversityPasses | undefined,
): Pass[] {
  const { shape } = parts;
  return (Object.keys(shape.outputs) as StatisticName[]).map((name) =>
    outputPass(parts, { ...draftOf(name, parts, partials, diversity), name }),
  );
}

function draftOf(
  name: StatisticName,
  parts: StatisticsParts,
  partials: BindingSource & { readonly bytes: number },
  diversity: DiversityPasses | undefined,
): Omit<OutputDraft, "name"> {
  const { shape, sums, geometry, capabilities } = parts;
  const { softmax } = shape;
  const result = { tensor: name };
  const terms = { table: "terms" } as const;
  switch (name) {
    case "entropy":
    case "squares":
    case "distance":
    case "windowedDistance":
    case "mass":
      return {
        kernel: rowStatistics,
        sum: sums.rowSums.get(name)!,
        bindings: { terms, partials, result } satisfies Bindings<"row_statistics">,
      };
    case "receivedSum":
    case "receivedMean":
    case "receivedMax":
    case "receivedCount":
    case "futureInfluence":
      return keyDraft(name, parts, partials);
    case "map":
      return { kernel: mapCells, bindings: { terms, partials, result } satisfies Bindings<"map_cells"> };
    case "argmaxKey":
    case "argmaxWeight":
    case "topKeys":
    case "topWeights": {
      const TAKE = shape.outputs[name]!.shape[3];
      checkMerge(TAKE * (1 + geometry.splits), mostLoopRounds(capabilities));
      const WEIGHTS = name === "argmaxWeight" || name === "topWeights";
      return {
        kernel: topKeys,
        constants: { TAKE, WEIGHTS, SPLITS: geometry.splits },
        together: TAKE,
        bindings: { lse: { tensor: "lse" }, terms, partials, result } satisfies Bindings<"top_keys">,
      };
    }
    case "diagonals":
      return {
        kernel: diagonals,
        slots: scoreSlots(softmax),
        conditions: storageConditions(softmax, capabilities, false),
        bindings: { ...scoreBindings(shape), result } satisfies Bindings<"diagonals">,
        read: bytesOf(softmax.q, softmax.k, softmax.lse),
      };
    case "headDiversity":
      return {
        kernel: meanDiversity,
        sweep: diversity!.sweep,
        bindings: { partials: diversity!.partials, result } satisfies Bindings<"mean_diversity">,
      };
  }
}

/** @throws AttentionError "limit" where a thread merges more lists than the driver has rounds for */
function checkMerge(rounds: number, most: number): void {
  if (rounds <= most) return;
  fail(
    "limit",
    "keys times ranges of statistics.topKeys",
    `at most ${most} (llvmpipe ends loops after 65,535 rounds)`,
    rounds,
    "Ask for fewer keys of a row.",
  );
}

const KEY_KINDS = {
  receivedSum: 0,
  receivedMean: 1,
  receivedMax: 2,
  receivedCount: 3,
  futureInfluence: 4,
} as const;

function keyDraft(
  name: keyof typeof KEY_KINDS,
  { shape, sums, capabilities }: StatisticsParts,
  partials: BindingSource,
): Omit<OutputDraft, "name"> {
  const { softmax, carried } = shape;
  const { terms, key_mask } = maskBindings(softmax);
  const counted = sums.columnSums.get("COUNT_SEEN");
  const source =
    name === "receivedMax" ? "RECEIVED_MAX" : name === "futureInfluence" ? "LOOK_BACK" : "RECEIVED";
  const none: TensorLayout = { dtype: "f32", shape: [1, 1, 1, 1] };
  const { sum, count } = carried ?? { sum: none, count: none };
  const carries = carried !== undefined && name !== "receivedMax" && name !== "futureInfluence";
  return {
    kernel: keyStatistics,
    constants: {
      KIND: KEY_KINDS[name],
      COUNTED: counted !== undefined,
      COUNT_SUM: counted ?? 0,
      CARRIED: carries,
    },
    sum: sums.columnSums.get(source) ?? 0,
    uniforms: { carried: layoutUniforms({ sum, count }, capabilities) },
    bindings: {
      terms,
      key_mask,
      partials,
      carried_sum: carries ? { tensor: "carriedSum" } : { unused: true },
      carried_count: carries ? { tensor: "carriedCount" } : { unused: true },
      result: { tensor: name },
    } satisfies Bindings<"key_statistics">,
  };
}

function outputPass(parts: StatisticsParts, draft: OutputDraft): Pass {
  const { shape, capabilities } = parts;
  const { name, kernel, sum = 0, together = 1, read = 0 } = draft;
  const layout = shape.outputs[name]!;
  const numbers = elementCount(layout.shape);
  const groups = name === "headDiversity" ? numbers : Math.ceil(numbers / together / THREADS);
  const { strides_result, base_result } = layoutUniforms({ result: layout }, capabilities);
  return {
    name: `statistics/${name}`,
    kernel,
    variant: variantKey(kernel, draft.conditions ?? []),
    constants: statisticsConstants(parts, kernel, { THREADS, ...draft.constants }),
    ...draft.slots,
    workgroups: spreadWorkgroups(groups, capabilities.limits.maxComputeWorkgroupsPerDimension),
    bindings: draft.bindings,
    uniforms: {
      params: problemUniforms(shape.softmax, capabilities, { first: 0, count: groups }),
      sweep: sweepUniforms(parts, draft.sweep),
      output: {
        strides: strides_result!,
        base: base_result!,
        tokens: layout.shape[1],
        values: layout.shape[3] / together,
        sum,
      },
      ...draft.uniforms,
    },
    cost: { flops: 0, bytes: read + bytesOf(layout) },
  };
}
