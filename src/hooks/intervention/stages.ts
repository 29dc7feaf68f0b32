import type { HeadSteps, PatternStep } from "webgpu-attention/calibration";
import { fail } from "../check.js";
import type { BiasOperation, HeadOperation, ScaleOperation, ShiftOperation } from "../operations.js";
import { changesNothing, checkOperation } from "./check-operation.js";
import type { ListedOperations } from "./head-operations.js";

export type ScoreOperation = ScaleOperation | BiasOperation;

/** The operations of one batch entry by what carries them out, in this order. */
export interface Stages {
  /** Within softmax attention. */
  readonly scores: ReadonlyMap<number, readonly ScoreOperation[]>;
  /** Of heads with a shift: what comes before it. */
  readonly before: HeadSteps;
  readonly shifts: ReadonlyMap<number, ShiftOperation>;
  /** All else. */
  readonly after: HeadSteps;
}

/**
 * Checks the operations of heads and sorts them into stages. Those that change nothing are left out.
 *
 * @throws AttentionError as `checkOperation`; "unsupported" for an order that has no exact form in output alone
 */
export function stagesOf(operations: ListedOperations): Stages {
  const scores = new Map<number, readonly ScoreOperation[]>();
  const before = new Map<number, readonly PatternStep[]>();
  const shifts = new Map<number, ShiftOperation>();
  const after = new Map<number, readonly PatternStep[]>();
  for (const [head, listed] of operations) {
    const found = stagesOfHead(listed, head);
    if (found.scores.length > 0) scores.set(head, found.scores);
    if (found.before.length > 0) before.set(head, found.before);
    if (found.shift) shifts.set(head, found.shift);
    if (found.after.length > 0) after.set(head, found.after);
  }
  return { scores, before, shifts, after };
}

function stagesOfHead(listed: readonly HeadOperation[], head: number) {
  const scores: ScoreOperation[] = [];
  const before: PatternStep[] = [];
  const after: PatternStep[] = [];
  let shift: ShiftOperation | undefined;
  for (const [n, operation] of listed.entries()) {
    checkOperation(`operation ${n} of head ${head}`, operation);
    if (changesNothing(operation)) continue;
    switch (operation.kind) {
      case "scale":
      case "bias":
        if (before.length > 0 || shift)
          outOfOrder(head, n, "scale and bias before all others", operation.kind);
        scores.push(operation);
        break;
      case "shift":
        if (shift) outOfOrder(head, n, "one shift a head", "another shift");
        checkBeforeShift(before, head, n);
        shift = operation;
        break;
      case "mix":
      case "gain":
        if (shift) checkAfterShift(operation, head, n);
        checkPath(operation, shift ? after : before, head, n);
        (shift ? after : before).push(operation);
    }
  }
  return shift ? { scores, before, shift, after } : { scores, before: [], shift, after: before };
}

/** A shift has to know the pattern that it finds: it is told of one key, and of equal weights, beside softmax's own. */
function checkBeforeShift(steps: readonly PatternStep[], head: number, n: number): void {
  const mixes = steps.filter((step) => step.kind === "mix");
  const targets = new Set(mixes.map((step) => (step.kind === "mix" ? step.target : undefined)));
  if (targets.has("meanQuery")) outOfOrder(head, n, "no shift after a mean query", "one");
  if (targets.has("identity") && targets.has("argmax"))
    outOfOrder(head, n, "no shift after both identity and arg-max", "one");
  if (mixes.some((step) => step.kind === "mix" && step.path === "logLinear"))
    outOfOrder(head, n, "no shift after a log-linear path", "one");
}

/** What a shift made of a row's weights is known on the GPU, and only as an output. */
function checkAfterShift(step: PatternStep, head: number, n: number): void {
  if (step.kind !== "mix" || (step.path ?? "linear") === "linear") return;
  outOfOrder(head, n, "straight paths after a shift", step.path!);
}

/** A log-linear path is another softmax, of scores; the curved ones take roots of weights. */
function checkPath(step: PatternStep, steps: readonly PatternStep[], head: number, n: number): void {
  if (step.kind !== "mix" || (step.path ?? "linear") === "linear") return;
  if (step.path === "logLinear" && steps.length > 0)
    outOfOrder(head, n, "a log-linear path before other mixes and gains", "one after them");
  if (steps.some((earlier) => earlier.kind === "gain" && earlier.output < 0))
    outOfOrder(head, n, "no curved path after a gain below 0", step.path!);
}

function outOfOrder(head: number, n: number, expected: string, got: string): never {
  const fix = "Change the order, or apply the operation to another head.";
  return fail("unsupported", `operation ${n} of head ${head}`, expected, got, fix);
}
