import type { Capabilities } from "../../../src/dispatch/capabilities.js";
import { expectEqual, fail } from "../../../src/dispatch/check.js";
import { byHeadLayout, checkBindable, expectShape } from "../../../src/dispatch/layout.js";
import type { TensorLayout } from "../../../src/dispatch/tensor-view.js";
import { checkLayout, checkOptions } from "../../../src/dispatch/validate.js";
import type { SoftmaxOptions } from "../../softmax/index.js";
import type { ModSlots } from "../../softmax/mod-slots.js";
import { OPTION_NAMES } from "../../softmax/options.js";
import { checkProblem, type SoftmaxShape } from "../../softmax/problem.js";
import { checkPlainRows } from "../plain-rows.js";
import { rowTermsLayout } from "../row-terms.js";
import type { StatisticName, StatisticsRequest } from "./options.js";
import { outputLayouts } from "./outputs.js";
import { checkedRequest } from "./request.js";

/**
 * What to plan for: the problem that softmax attention was planned for (packed sequences, listed query rows and block masks are not
 * taken), and what to find out about it.
 */
export interface AttentionStatisticsProblem extends SoftmaxOptions {
  /** [B, Tq, Hq, D] f32 or f16, D from 1 to 256 */
  readonly q: TensorLayout;
  /** [B, Tk, Hkv, D] f32 or f16 */
  readonly k: TensorLayout;
  /** [B, Tq, Hq, 1] f32: the log-sum-exp that softmax attention left, with the sink logits in it. `true`: as its `lse: true`. */
  readonly lse: TensorLayout | true;
  readonly statistics: StatisticsRequest;
  /**
   * Heads that are averaged, each group by itself: outputs are of groups then, and heads that are in none are not looked at. Not with
   * keys of rows (`argmax`, `topKeys`). Default each head by itself.
   */
  readonly headGroups?: readonly (readonly number[])[];
  /** What mixes before have left of the patterns, of `rowTermsLayout`. Default the patterns that softmax made. */
  readonly rowTerms?: TensorLayout;
  /**
   * [B, Tk, Hq, 1] f32 `receivedSum` and `receivedCount` of earlier queries, which those of these queries are added to; so is what
   * `receivedMean` is made of; `receivedMax` and `futureInfluence` stay those of these queries. `true`: dense per head, as outputs are. Not
   * with `headGroups`, nor without one of the three that it adds to. Default none.
   */
  readonly carried?: { readonly sum: TensorLayout; readonly count: TensorLayout } | true;
}

/** A checked problem with every default filled in. */
export interface StatisticsShape {
  readonly softmax: SoftmaxShape & { readonly lse: TensorLayout };
  readonly request: StatisticsRequest;
  /** Heads that are swept, ascending. */
  readonly heads: readonly number[];
  /** Places in `heads`. */
  readonly groups: readonly (readonly number[])[];
  /** Groups of `headDiversity`. */
  readonly compared: readonly (readonly number[])[];
  readonly rowTerms?: TensorLayout;
  readonly carried?: { readonly sum: TensorLayout; readonly count: TensorLayout };
  readonly outputs: Readonly<Partial<Record<StatisticName, TensorLayout>>>;
}

export const PROBLEM_NAMES = ["lse", "statistics", "headGroups", "rowTerms", "carried"] as const;

/**
 * Checks a problem without touching the GPU.
 *
 * @param mods its mods, checked already
 * @throws AttentionError "shape", "dtype", "limit", "unsupported"
 */
export function checkStatistics(
  problem: AttentionStatisticsProblem,
  capabilities: Capabilities,
  mods?: ModSlots,
): StatisticsShape {
  checkOptions("attentionStatistics", problem, ["q", "k", ...PROBLEM_NAMES, ...OPTION_NAMES]);
  const { statistics, headGroups, rowTerms, carried, lse, ...attention } = problem;
  checkPlainRows("attentionStatistics", attention);
  // Values and outputs take no part: keys and queries stand in for them, which have their shapes.
  const around = { ...attention, v: attention.k, out: attention.q, lse };
  const softmax = checkProblem(around, capabilities, mods);
  if (!softmax.lse)
    fail("shape", "lse", "the log-sum-exp of each row", lse, "Run attention with `lse: true`.");
  const request = checkedRequest(statistics, softmax);
  const { heads, groups } = checkedGroups(headGroups, softmax.heads);
  if (headGroups !== undefined && (request.argmax || request.topKeys !== undefined))
    fail(
      "unsupported",
      "headGroups",
      "none, with keys of rows",
      "argmax or topKeys",
      "Keys cannot be averaged: leave the groups out.",
    );
  const { batches, tokensQ } = softmax;
  if (rowTerms !== undefined) {
    expectShape("rowTerms", rowTerms, rowTermsLayout(batches, softmax.heads, tokensQ).shape, ["f32"]);
    if (rowTerms.strides || rowTerms.offset)
      fail("unsupported", "rowTerms", "a dense tensor", "strides or an offset", "Leave them out.");
    checkBindable({ rowTerms }, capabilities);
  }
  const compared = headGroups === undefined ? [heads.map((_, place) => place)] : groups;
  const outputs = outputLayouts(softmax, request, groups.length, compared.length);
  checkBindable(outputs, capabilities);
  const before =
    carried === undefined ? undefined : checkedCarried(carried, softmax, headGroups !== undefined);
  if (carried !== undefined && !request.receivedSum && !request.receivedMean && !request.receivedCount)
    fail(
      "unsupported",
      "carried",
      "receivedSum, receivedMean or receivedCount among the statistics",
      "none of them",
      "Leave `carried` out: nothing is added to it.",
    );
  if (before) checkBindable(before, capabilities);
  return {
    softmax: softmax as StatisticsShape["softmax"],
    request,
    heads,
    groups,
    compared,
    outputs,
    ...(rowTerms && { rowTerms }),
    ...(before && { carried: before }),
  };
}

function checkedGroups(
  given: AttentionStatisticsProblem["headGroups"],
  count: number,
): Pick<StatisticsShape, "heads" | "groups"> {
  const all = Array.from({ length: count }, (_, head) => head);
  if (given === undefined) return { heads: all, groups: all.map((head) => [head]) };
  if (!Array.isArray(given) || given.length === 0)
    fail("shape", "headGroups", "lists of heads", given, "Leave them out for each head by itself.");
  given.forEach((group: readonly number[], index) => {
    const known = Array.isArray(group) && group.length > 0 && group.every((head) => all.includes(head));
    if (known && new Set(group).size === group.length) return;
    fail(
      "shape",
      `headGroups[${index}]`,
      `different heads, from 0 to ${count - 1}`,
      group,
      "A group has one head at least, and each once.",
    );
  });
  const heads = all.filter((head) => given.some((group) => group.includes(head)));
  return { heads, groups: given.map((group) => group.map((head: number) => heads.indexOf(head))) };
}

function checkedCarried(
  carried: NonNullable<AttentionStatisticsProblem["carried"]>,
  { batches, tokensK, heads }: SoftmaxShape,
  grouped: boolean,
): NonNullable<StatisticsShape["carried"]> {
  if (grouped)
    fail(
      "unsupported",
      "carried",
      "none, with headGroups",
      "both",
      "Carry sums of single heads, and average those.",
    );
  const own = byHeadLayout(batches, tokensK, heads);
  if (carried === true) return { sum: own, count: own };
  checkOptions("carried", carried, ["sum", "count"]);
  for (const [name, layout] of Object.entries({ sum: carried.sum, count: carried.count })) {
    checkLayout(`carried.${name}`, layout, ["f32"]);
    layout.shape.forEach((size, axis) => {
      expectEqual(`carried.${name}.shape[${axis}]`, size, own.shape[axis]!, `shape [${own.shape}]`);
    });
  }
  return carried;
}
