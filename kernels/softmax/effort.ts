import type { Capabilities } from "../../src/dispatch/capabilities.js";
import { dispatchFlops } from "../../src/dispatch/dispatch-budget.js";
import { storageConditions } from "./pass-parts.js";
import type { SoftmaxShape } from "./problem.js";
import { blockRows, DECODE_TOKENS } from "./sizes.js";

// Time in units of an operation of the two products, fitted on SwiftShader; a GPU with 100 GB/s for 500 GFLOP/s reads an element
// in 20. What counts is that no kind of problem takes many times what its operations say.
const PAIR = 48;
const BIAS = 40;
const SOFTCAP = 60;
const ALIBI = 16;
const MASK = 32;
/** A guess: mods may be of any length. */
const MOD = 60;
/** Of each channel of a key, spread over the rows that share its rotation. */
const ROTATION = 2.5;
const UNALIGNED_HALF = 4;
const READ = 16;

/** How many times longer a problem takes than its multiplications and additions alone: narrow heads and single rows most. */
export function effortFactor(shape: SoftmaxShape, capabilities: Capabilities): number {
  const { headDim, valueDim, tokensQ, softcap, alibi, bias, keyMask, rotary, mods } = shape;
  const conditions = storageConditions(shape, capabilities, false);
  const padded = 4 * (Math.ceil(headDim / 4) + Math.ceil(valueDim / 4));
  const halves = conditions.includes("half_kv") && !conditions.includes("vec4");
  const pair =
    2 * padded +
    PAIR +
    (bias ? BIAS : 0) +
    (softcap === undefined ? 0 : SOFTCAP) +
    (alibi ? ALIBI : 0) +
    (keyMask ? MASK : 0) +
    (mods?.slots.score_mod ? MOD : 0) +
    (mods?.slots.mask_mod ? MOD : 0) +
    (rotary ? ROTATION * padded : 0) +
    (halves ? UNALIGNED_HALF * padded : 0);
  // A prefill's tile shares each key among so many rows that reading it disappears.
  const read = tokensQ <= DECODE_TOKENS ? (READ * padded) / blockRows(shape) : 0;
  return (pair + read) / (2 * (headDim + valueDim));
}

/**
 * Operations of the two products that one dispatch of `milliseconds` may hold.
 *
 * @param measured operations a second of the same class of problems, where tuning timed it: then its effort is in them
 */
export function dispatchBudget(
  shape: SoftmaxShape,
  capabilities: Capabilities,
  milliseconds: number,
  measured?: number,
): number {
  const flops = dispatchFlops(capabilities, milliseconds, measured);
  const effort = effortFactor(shape, capabilities);
  if (measured === undefined) return flops / effort;
  // Measuring knows the class of a problem, and no mods.
  const { mods, ...plain } = shape;
  return mods ? (flops * effortFactor(plain, capabilities)) / effort : flops;
}
