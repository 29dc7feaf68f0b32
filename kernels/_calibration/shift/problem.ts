import type { Capabilities } from "../../../src/dispatch/capabilities.js";
import { checkLength, checkUsage, expectEqual, fail, isBuffer } from "../../../src/dispatch/check.js";
import { byHeadLayout, checkBindable, expectShape } from "../../../src/dispatch/layout.js";
import { stridesOf, type TensorLayout } from "../../../src/dispatch/tensor-view.js";
import { checkLayout } from "../../../src/dispatch/validate.js";
import type { SoftmaxProblem } from "../../softmax/index.js";
import type { ModSlots } from "../../softmax/mod-slots.js";
import { checkProblem, type SoftmaxShape } from "../../softmax/problem.js";
import { checkPlainRows } from "../plain-rows.js";
import { rowTermsLayout } from "../row-terms.js";
import { checkShift } from "./check-shift.js";
import type { PlacedShift } from "./operation-table.js";
import type { HeadShifts, KeyShift, SinkLists } from "./types.js";

/** The key of a row's terms is handed on as f32. */
const MOST_KEYS = 2 ** 24;

/**
 * What to plan for: the problem that softmax attention was planned for, with the layouts of its results, and the shifts of its heads.
 * Packed sequences, listed query rows and block masks are not taken.
 */
export interface AttentionShiftProblem extends SoftmaxProblem {
  readonly heads: HeadShifts;
  /** [B, Tk, 1, C] f32 or f16, the input of the layer's block: needed by rules that look at hidden states. */
  readonly hidden?: TensorLayout;
  /** [B, Tk, Hq, 1] dense for each head, as `attentionStatistics` writes `receivedMean`: needed by rules that look at it. Default so. */
  readonly received?: TensorLayout;
  /**
   * Sinks that were found already, such as those of the prefill while decoding: taken for all rules but names (`{ keys }`) and those with
   * `update: "running"`, whose sinks come from `received`. Indices of keys: those of a cache that has moved its keys since are stale.
   * Default none.
   */
  readonly sinks?: SinkLists;
  /**
   * Whether rules with `update: "running"` leave out the last key that the last query sees, as a step of decoding does: no other
   * query has seen it. Of steps with several queries only the last key is spared. Default where `sinks` are given.
   */
  readonly spareNewest?: boolean;
  /** [B, Hq, Tq, 4] what mixes before have left of the patterns, as `planAttentionMix` writes it; `true`: dense. Default nothing. */
  readonly rowTerms?: TensorLayout | boolean;
}

/** The attention's own part of a problem. */
export function attentionOf(problem: AttentionShiftProblem): SoftmaxProblem {
  const {
    heads: _heads,
    hidden: _hidden,
    received: _received,
    sinks: _sinks,
    spareNewest: _newest,
    rowTerms: _terms,
    ...rest
  } = problem;
  return rest;
}

/** A checked problem. */
export interface ShiftShape {
  readonly attention: SoftmaxShape & { readonly lse: TensorLayout };
  /** Shifts that may change anything. */
  readonly shifts: readonly PlacedShift[];
  readonly hidden?: TensorLayout;
  readonly sinks?: SinkLists;
  readonly spareNewest: boolean;
  readonly rowTerms: boolean;
}

/**
 * Checks a problem without touching the GPU.
 *
 * @param mods its mods, checked already
 * @param subject the function that errors name
 * @throws AttentionError "shape", "dtype", "limit", "unsupported"
 */
export function checkShiftProblem(
  problem: AttentionShiftProblem,
  capabilities: Capabilities,
  mods?: ModSlots,
  subject = "planAttentionShift",
): ShiftShape {
  const given = attentionOf(problem);
  checkPlainRows(subject, given);
  const checked = checkProblem({ ...given, lse: given.lse || true }, capabilities, mods);
  const attention = { ...checked, lse: checked.lse! };
  const shifts = placedShifts(problem.heads, attention);
  const { batches, heads, tokensQ, tokensK } = attention;
  const { hidden, received, sinks, spareNewest = sinks !== undefined, rowTerms } = problem;
  if (hidden) checkHidden(hidden, attention, shifts, capabilities);
  else if (!sinks) checkNoneHidden(shifts);
  if (received) expectDense("received", received, byHeadLayout(batches, tokensK, heads));
  if (sinks) checkSinkLists(sinks, attention);
  if (rowTerms && tokensK > MOST_KEYS)
    fail(
      "limit",
      "keys of a shift after mixes",
      `at most ${MOST_KEYS}`,
      tokensK,
      "Shift heads without mixes.",
    );
  if (rowTerms && rowTerms !== true)
    expectDense("rowTerms", rowTerms, rowTermsLayout(batches, heads, tokensQ));
  return {
    attention,
    shifts,
    spareNewest,
    rowTerms: Boolean(rowTerms),
    ...(hidden && { hidden }),
    ...(sinks && { sinks }),
  };
}

function expectDense(name: string, layout: TensorLayout, wanted: TensorLayout): void {
  expectShape(name, layout, wanted.shape, [wanted.dtype]);
  const [got, strides] = [stridesOf(layout), stridesOf(wanted)];
  const same = wanted.shape.every((size, axis) => size === 1 || got[axis] === strides[axis]);
  if (same && !layout.offset) return;
  fail(
    "unsupported",
    name,
    `strides [${strides}] and no offset`,
    `strides [${got}] and offset ${layout.offset ?? 0}`,
    "Take what the statistics or the mix have written.",
  );
}

/** Every head of every batch entry that has a shift; those that keep everything are none. */
function placedShifts(heads: HeadShifts, { batches, heads: count }: SoftmaxShape): PlacedShift[] {
  const each = Array.isArray(heads) ? (heads as readonly ReadonlyMap<number, KeyShift>[]) : undefined;
  if (each) checkLength("heads", each, batches, "one map for each batch entry");
  return Array.from({ length: batches }, (_, batch) => {
    const own = each ? each[batch]! : (heads as ReadonlyMap<number, KeyShift>);
    if (!(own instanceof Map)) {
      const subject = each ? `heads[${batch}]` : "heads";
      fail("shape", subject, "a Map from query heads to shifts", own, "See HeadShifts.");
    }
    return [...own].flatMap(([head, shift]) => {
      if (!Number.isSafeInteger(head) || head < 0 || head >= count)
        fail("shape", "heads", `query heads from 0 to ${count - 1}`, head, "Count heads from 0.");
      checkShift(`heads[${head}]`, shift);
      return shift.keep === 1 ? [] : [{ batch, head, shift }];
    });
  }).flat();
}

function checkHidden(
  hidden: TensorLayout,
  { batches, tokensK }: SoftmaxShape,
  shifts: readonly PlacedShift[],
  capabilities: Capabilities,
): void {
  checkLayout("hidden", hidden, ["f32", "f16"]);
  const [batch, tokens, one, channels] = hidden.shape;
  expectEqual("hidden.shape[0] (batch)", batch, batches, "the batch size of q");
  expectEqual("hidden.shape[1] (tokens)", tokens, tokensK, "the number of keys");
  expectEqual("hidden.shape[2]", one, 1, "hidden states have no heads: [B, Tk, 1, C]");
  checkBindable({ hidden }, capabilities);
  for (const { head, shift } of shifts) {
    const dims = "hidden" in shift.sinks ? shift.sinks.hidden.dims : [];
    const outside = dims.find((dim) => dim >= channels);
    if (outside !== undefined)
      fail(
        "shape",
        `heads[${head}].sinks.hidden.dims`,
        `less than the ${channels} channels`,
        outside,
        "Correct it.",
      );
  }
}

function checkNoneHidden(shifts: readonly PlacedShift[]): void {
  for (const { head, shift } of shifts) {
    if (!("hidden" in shift.sinks)) continue;
    const expected = "the layout of the hidden states, [B, Tk, 1, C]";
    fail("shape", "hidden", expected, "none", `The rule of heads[${head}] looks at them.`);
  }
}

function checkSinkLists({ buffer, keys }: SinkLists, { batches, heads }: SoftmaxShape): void {
  if (!isBuffer(buffer))
    fail("shape", "sinks.buffer", "a GPUBuffer", buffer, "Take `sinks` of the prefill's plan.");
  if (!Number.isSafeInteger(keys) || keys < 1)
    fail("shape", "sinks.keys", "an integer of at least 1", keys, "Take `sinks` of the prefill's plan.");
  checkUsage("sinks.buffer usage", buffer, "STORAGE");
  const bytes = 4 * batches * heads * sinkListWords(keys);
  if (buffer.size < bytes)
    fail(
      "shape",
      "sinks.buffer",
      `at least ${bytes} bytes`,
      `${buffer.size} bytes`,
      "Take `sinks` of the prefill's plan.",
    );
}

/** Words of one head's list in `SinkLists`: how many, the keys in order, a bit a key. */
export function sinkListWords(keys: number): number {
  return 1 + keys + Math.ceil(keys / 32);
}
