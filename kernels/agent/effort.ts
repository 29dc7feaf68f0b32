import { type AgentShape, isUpsampled } from "./problem.js";

// Time in units of an operation of the products, fitted on SwiftShader. What counts is that no kind of problem takes many times
// what its operations say.
const PAIR = 48;
const BIAS = 24;
const UNALIGNED = 8;
/** Of each channel of the convolution: nine products, and reading the halo. */
const CONVOLUTION = 60;
const UPSAMPLING = 240;

/** Products, their bias and exponential for one pair of an agent and a key or query, in operations. */
export function pairWork(
  { headDim, valueDim }: AgentShape,
  vec4: boolean,
  bias: boolean,
  columnParts = 1,
): number {
  const padded = 4 * (columnParts * Math.ceil(headDim / 4) + Math.ceil(valueDim / 4));
  return (vec4 ? 2 : UNALIGNED) * padded + columnParts * (PAIR + (bias ? BIAS : 0));
}

/** What the last pass does for one query beside its pairs. */
export function valueTermWork({ depthwise, valueDim }: AgentShape): number {
  if (!depthwise) return 4 * valueDim;
  return (isUpsampled(depthwise) ? UPSAMPLING : CONVOLUTION) * valueDim;
}
