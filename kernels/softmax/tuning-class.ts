import type { Capabilities } from "../../src/dispatch/capabilities.js";
import { powerOfTwo } from "../../src/dispatch/power-of-two.js";
import type { TuningClass } from "../../src/dispatch/tuning/tuner.js";
import merge from "./merge.wgsl";
import { storageConditions } from "./pass-parts.js";
import type { SoftmaxShape } from "./problem.js";
import rows from "./rows.wgsl";
import { DECODE_TOKENS } from "./sizes.js";
import split from "./split.wgsl";
import strips from "./strips.wgsl";
import alibi from "./terms/alibi.wgsl?mod";
import softCap from "./terms/soft-cap.wgsl?mod";
import tiled from "./tiled.wgsl";

/**
 * What the fastest configuration depends on: the constants of the kernels exactly, lengths, windows and the number of heads by
 * powers of two, and which terms a score has. Values (scales, slopes, sinks) do not matter, nor do outputs.
 */
export function softmaxClass(shape: SoftmaxShape, capabilities: Capabilities): TuningClass {
  const { batches, tokensQ, tokensK, heads, kvHeads, headDim, valueDim, q, k, windowLeft, windowRight } =
    shape;
  const { rotary, bias } = shape;
  const decode = tokensQ <= DECODE_TOKENS;
  const window = (keys: number) => powerOfTwo(Math.min(keys + 1, tokensK));
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
    windowLeft !== undefined && `window ${window(windowLeft)}`,
    windowRight !== undefined && (windowRight === 0 ? "causal" : `ahead ${window(windowRight)}`),
    shape.softcap !== undefined && "softcap",
    shape.alibi && "alibi",
    bias && `bias ${[..."bhqk"].filter((_, axis) => bias.shape[axis]! > 1).join("") || "of one"}`,
    shape.keyMask && "key mask",
    shape.sinks && "sinks",
    rotary && `rope ${rotary.dim}${rotary.interleaved ? " interleaved" : ""}`,
  ]
    .filter(Boolean)
    .join(", ");
  return { mechanism: "softmax", kernels: KERNELS, problem };
}

/** Bodies of the score's terms count as kernels: they are compiled into them. */
const KERNELS = [
  ...[rows, tiled, split, strips, merge].map(({ hash }) => hash.slice(0, 6)),
  textHash(alibi.body + softCap.body),
].join("");

/** FNV-1a: nobody forges these. */
function textHash(text: string): string {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193) >>> 0;
  return hash.toString(16).padStart(8, "0");
}
