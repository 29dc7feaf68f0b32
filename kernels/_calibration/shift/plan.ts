import { bytesOf, isVec4 } from "../../../src/dispatch/layout.js";
import type { BindingSource, Pass } from "../../../src/dispatch/pass.js";
import { bytesPerElement } from "../../../src/dispatch/tensor-view.js";
import { lseBinding, maskBindings, scoreSlots, storageConditions } from "../../softmax/pass-parts.js";
import { unrolledWalk } from "../loop-rounds.js";
import applyKernel from "./apply.wgsl";
import hiddenKernel from "./hidden_scores.wgsl";
import mergeRowsKernel from "./merge_rows.wgsl";
import { namesSets } from "./operation-table.js";
import {
  type Bindings,
  type CutRows,
  dispatches,
  type ShiftPart,
  type ShiftPlanInputs,
} from "./pass-parts.js";
import rowsKernel from "./rows.wgsl";
import shiftKernel from "./shift.wgsl";
import sinksKernel from "./sinks.wgsl";
import splitRowsKernel from "./split_rows.wgsl";

const THREADS = 64;
/** Keys that a thread scores together, and vec4 value columns that it sums. */
const KEYS = 4;
const COLUMNS = 16;
/** Sinks of a head, for what a shift is said to cost: how many there are is known on the GPU only. */
const EXPECTED_SINKS = 4;

/** An output that was rounded to f16 must not grow much: rows of which less is left than this are added up anew. */
const LITTLE_F16 = 0.4;

const SCORES = 0;
const ROW_STATE = 1;

const unused = { unused: true } as const;
const terms = { table: "terms" } as const;

/** Which keys are sinks, from what the rules need: lists of them, in `inputs.lists`. */
export function planSinks(inputs: ShiftPlanInputs): Pass[] {
  const { shape, table, lists } = inputs;
  const { attention, sinks } = shape;
  const { batches, heads, tokensK } = attention;
  const scores = { scratch: SCORES, bytes: 4 * Math.max(table.probes, 1) * batches * tokensK } as const;
  const find = dispatches(inputs, {
    name: "shift/sinks",
    kernel: sinksKernel,
    bindings: {
      terms,
      received: table.needs.received ? { tensor: "received" } : unused,
      scores: table.needs.hidden ? scores : unused,
      given: table.needs.given ? { buffer: sinks!.buffer } : unused,
      lists: { buffer: lists },
    } satisfies Bindings<"sinks">,
    groups: shape.shifts.length > 0 ? batches * heads : 0,
    work: 8 * tokensK,
    flops: 0,
    bytes: 8 * batches * heads * tokensK,
  });
  return [...(table.needs.hidden ? hiddenPasses(inputs, scores) : []), ...find];
}

/** φ of every token, for each list of channels. */
function hiddenPasses(inputs: ShiftPlanInputs, scores: Bindings<"hidden_scores">["scores"]): Pass[] {
  const { shape, capabilities } = inputs;
  const { batches, tokensK } = shape.attention;
  const hidden = shape.hidden!;
  const channels = hidden.shape[3];
  // A CPU driver's threads read rows by themselves at no cost, where a barrier has one.
  const LANES = capabilities.software ? 1 : 16;
  const tokens = THREADS / LANES;
  return dispatches(inputs, {
    name: "shift/hidden_scores",
    kernel: hiddenKernel,
    conditions: [
      ...(isVec4(hidden, capabilities) ? ["vec4"] : []),
      ...(hidden.dtype === "f16" ? ["half"] : []),
    ],
    constants: { LANES },
    bindings: { terms, hidden: { tensor: "hidden" }, scores } satisfies Bindings<"hidden_scores">,
    groups: Math.ceil((batches * tokensK) / tokens),
    work: 2 * tokens * channels,
    flops: 2 * tokens * channels,
    bytes: bytesOf(hidden),
  });
}

/** Which rows of which heads attend to the parts of the keys. */
export function planSplitRows(inputs: ShiftPlanInputs, { wholeRows, cutRows }: CutRows): Pass[] {
  const { batches, heads, tokensQ } = inputs.shape.attention;
  return dispatches(inputs, {
    name: "shift/split_rows",
    kernel: splitRowsKernel,
    bindings: {
      terms,
      lists: { buffer: inputs.lists },
      whole_rows: { buffer: wholeRows },
      cut_rows: { buffer: cutRows },
    } satisfies Bindings<"split_rows">,
    groups: batches * heads,
    work: 4 * tokensQ,
    flops: 0,
    bytes: 4 * batches * heads * tokensQ,
  });
}

/** What moves where, and the output after it. */
export function planShift(inputs: ShiftPlanInputs): Pass[] {
  const { shape, lists, parts, capabilities } = inputs;
  const cut = parts?.cut;
  const { attention, shifts, rowTerms } = shape;
  const { tokensQ, tokensK, headDim, valueDim } = attention;
  const columns = Math.ceil(valueDim / 4);
  const rows = shifts.length * tokensQ;
  const rowState = { scratch: ROW_STATE, bytes: 16 * Math.max(rows, 1) * (3 + columns) } as const;
  const constants = {
    HAS_ROW_TERMS: rowTerms,
    HAS_SINK: attention.sinks,
    HAS_PART: parts !== undefined,
    IN_PARTS: cut !== undefined,
    HAS_BEFORE: cut?.before !== undefined,
    HAS_AFTER: cut?.after !== undefined,
    HAS_SETS: parts === undefined && shifts.some(({ shift }) => namesSets(shift)),
    SCORED: attention.mods?.slots.score_mod !== undefined,
  };
  const conditions = storageConditions(attention, capabilities, false);
  const part = (given: ShiftPart | undefined, of: keyof ShiftPart): BindingSource =>
    given ? { buffer: given[of] } : unused;
  const perRow = {
    constants,
    groups: Math.ceil(rows / THREADS),
    work: 16 * THREADS,
    flops: 0,
    bytes: 48 * rows,
  };
  const gather = cut
    ? dispatches(inputs, {
        name: "shift/merge_rows",
        kernel: mergeRowsKernel,
        bindings: {
          terms,
          lists: { buffer: lists },
          lse: lseBinding(attention),
          part_lse: part(parts?.recipients, "lse"),
          lse_before: part(cut.before, "lse"),
          lse_after: part(cut.after, "lse"),
          row_state: rowState,
        } satisfies Bindings<"merge_rows">,
        ...perRow,
      })
    : dispatches(inputs, {
        name: "shift/rows",
        kernel: rowsKernel,
        bindings: {
          terms,
          lse: { tensor: "lse" },
          row_terms: rowTerms ? { tensor: "rowTerms" } : unused,
          part_lse: part(parts?.recipients, "lse"),
          row_state: rowState,
        } satisfies Bindings<"rows">,
        ...perRow,
      });

  const own = Math.min(columns, COLUMNS);
  const columnParts = Math.ceil(columns / own);
  const pairFlops = 2 * (2 * headDim + valueDim / columnParts);
  // A thread weighs sinks and all keys, and goes over them again to add them up.
  const walkedKeys = 2 * Math.ceil(tokensK / KEYS);
  const walked = unrolledWalk({
    name: "shift/shift",
    rounds: (channels4) => walkedKeys * (2 + 2 * channels4 + (channels4 && own)) + channels4,
    headDim,
    capabilities,
  });
  const move = dispatches(inputs, {
    name: "shift/shift",
    kernel: shiftKernel,
    conditions,
    constants: {
      ...constants,
      COLUMNS: own,
      KEYS,
      ...(attention.out.dtype === "f16" && { LITTLE: LITTLE_F16 }),
    },
    unroll: { ...(capabilities.software && { KEYS }), ...walked, ...(walked.HEAD_DIM4 && { COLUMNS: own }) },
    slots: scoreSlots(attention),
    bindings: {
      q: { tensor: "q" },
      k: { tensor: "k" },
      v: { tensor: "v" },
      ...maskBindings(attention),
      lists: { buffer: lists },
      row_state: rowState,
    } satisfies Bindings<"shift">,
    groups: shifts.length * Math.ceil(tokensQ / THREADS) * columnParts,
    // Sinks may be all keys, and a row may have to walk over all of them.
    work: THREADS * tokensK * pairFlops,
    flops: THREADS * Math.min(tokensK, constants.HAS_SETS ? tokensK : EXPECTED_SINKS) * pairFlops,
    bytes: bytesOf(attention.q) + rowState.bytes,
  });

  const apply = dispatches(inputs, {
    name: "shift/apply",
    kernel: applyKernel,
    conditions,
    constants,
    bindings: {
      terms,
      out: { tensor: "out" },
      row_state: rowState,
      part: part(parts?.recipients, "out"),
      part_before: part(cut?.before, "out"),
      part_after: part(cut?.after, "out"),
    } satisfies Bindings<"apply">,
    groups: Math.ceil((rows * columns) / THREADS),
    work: 16 * THREADS,
    flops: 0,
    bytes: rowState.bytes + 2 * rows * valueDim * bytesPerElement(attention.out.dtype),
  });
  return [...gather, ...move, ...apply];
}
