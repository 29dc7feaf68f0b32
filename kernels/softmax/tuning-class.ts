import type { Capabilities } from "../../src/dispatch/capabilities.js";
import type { TuningClass } from "../../src/dispatch/tuning/tuner.js";
import merge from "./merge.wgsl";
import { storageConditions } from "./pass-parts.js";
import type { SoftmaxShape } from "./problem.js";
import rows from "./rows.wgsl";
import { DECODE_TOKENS, powerOfTwo } from "./sizes.js";
import split from "./split.wgsl";
import strips from "./strips.wgsl";
import tiled from "./tiled.wgsl";

/**
 * What the fastest configuration depends on: the constants of the kernels exactly, lengths and the number of heads by powers of
 * two, and which terms a score has. Values (windows, scales, slopes) do not matter, nor do outputs.
 */
export function softmaxClass(shape: SoftmaxShape, capabilities: Capabilities): TuningClass {
  const { batches, tokensQ, tokensK, heads, kvHeads, headDim, valueDim, q, k, rotary } = shape;
  const decode = tokensQ <= DECODE_TOKENS;
  const terms = {
    causal: shape.windowRight !== undefined,
    window: shape.windowLeft !== undefined,
    softcap: shape.softcap !== undefined,
    alibi: shape.alibi,
    bias: shape.bias !== undefined,
    "key mask": shape.keyMask,
    [rotary?.interleaved ? "interleaved rope" : "rope"]: rotary !== undefined,
  };
  const problem = [
    decode ? "decode" : "prefill",
    `D ${headDim}`,
    `Dv ${valueDim}`,
    `${q.dtype}/${k.dtype}`,
    storageConditions(shape, capabilities, false).includes("vec4") ? "aligned" : "strided",
    `Tq ${decode ? tokensQ : powerOfTwo(tokensQ)}`,
    `Tk ${powerOfTwo(tokensK)}`,
    `heads ${powerOfTwo(batches * heads)}`,
    `group ${heads / kvHeads}`,
    ...Object.entries(terms).flatMap(([name, present]) => (present ? [name] : [])),
  ].join(", ");
  const kernels = [rows, tiled, split, strips, merge].map(({ hash }) => hash.slice(0, 6)).join("");
  return { mechanism: "softmax", kernels, problem };
}
