/**
 * Mods of softmax attention that are known by name. Each is also an example of how to write one: a WGSL body in its `.wgsl` file,
 * with constants and bindings from here.
 */

import { checkNumber, fail, isBuffer } from "../../../src/dispatch/check.js";
import { checkOptions } from "../../../src/dispatch/validate.js";
import type { MaskFunction, ScoreMod } from "../mod-types.js";
import alibi from "./alibi.wgsl?mod";
import causal from "./causal.wgsl?mod";
import dilatedWindow from "./dilated-window.wgsl?mod";
import document from "./document.wgsl?mod";
import neighborhood from "./neighborhood.wgsl?mod";
import prefixLm from "./prefix-lm.wgsl?mod";
import relativeBias from "./relative-bias.wgsl?mod";
import slidingWindow from "./sliding-window.wgsl?mod";
import softCap from "./soft-cap.wgsl?mod";
import taylor from "./taylor.wgsl?mod";

type Numbers = GPUBuffer | ArrayLike<number>;

/**
 * ALiBi (arXiv 2108.12409): slope times distance is taken from the score.
 *
 * @param slopes [Hq]
 */
export function alibiMod(slopes: Numbers): ScoreMod {
  return { wgsl: alibi.body, bindings: { slopes: { type: "array<f32>", data: slopes } } };
}

/**
 * Soft cap (Gemma 2, arXiv 2408.00118): scores become cap tanh(score / cap).
 *
 * @throws AttentionError "shape" unless cap is a number above 0
 */
export function softCapMod(cap: number): ScoreMod {
  checkNumber("softCapMod cap", cap, 0);
  return { wgsl: softCap.body, constants: { cap } };
}

/**
 * The second-order Taylor form of Deconstructing Attention (arXiv 2510.11602, equation 6): weights 1 + x + x² / 2 of scores x instead of
 * e^x, normalised jointly, which is softmax of ln(1 + x + x² / 2). The log-sum-exp is then the logarithm of the sum of these weights.
 *
 * The weight is at least 1/2, at x = -1: a low score does not hide a key, which masks do, and scores below -1e38. Any other finite score has a
 * finite logarithm, |x| >= 1e9 as 2 ln |x| - ln 2, so that no square overflows.
 */
export function taylorMod(): ScoreMod {
  return { wgsl: taylor.body };
}

/**
 * A bias by head and distance (as in T5, arXiv 1910.10683).
 *
 * @param table [Hq, 2 farthest + 1]: from `farthest` keys before the query's position to as many after it; further keys have the
 *   bias of the farthest
 * @throws AttentionError "shape" unless farthest is an integer of at least 0
 */
export function relativeBiasMod(table: Numbers, farthest: number): ScoreMod {
  checkCount("relativeBiasMod farthest", farthest);
  return {
    wgsl: relativeBias.body,
    constants: { farthest },
    bindings: { table: { type: "array<f32>", data: table } },
  };
}

/** Keys up to the query's position: what the option `causal` says, as a mask to combine with others. */
export function causalMask(): MaskFunction {
  return { wgsl: causal.body };
}

/**
 * So many keys before the query's position, and after it (Longformer, arXiv 2004.05150), as the option `window`. A causal window of W
 * is `{ left: W - 1, right: 0 }`.
 *
 * @param window default all keys on a side
 * @throws AttentionError "shape" unless both are integers of at least 0
 */
export function slidingWindowMask(window: { readonly left?: number; readonly right?: number }): MaskFunction {
  checkOptions("slidingWindowMask", window, ["left", "right"]);
  const side = (name: "left" | "right"): number => {
    const keys = Math.min(window[name] ?? ALL, ALL);
    checkCount(`slidingWindowMask ${name}`, keys);
    return keys;
  };
  return { wgsl: slidingWindow.body, constants: { left: side("left"), right: side("right") } };
}

const ALL = 2 ** 30;

/**
 * Every `dilation`-th key, `left` of them before the query's position and `right` after it (Longformer, arXiv 2004.05150).
 *
 * @param window.right default 0
 * @throws AttentionError "shape" unless all are integers, `dilation` at least 1, the others at least 0
 */
export function dilatedWindowMask(window: {
  readonly left: number;
  readonly right?: number;
  readonly dilation: number;
}): MaskFunction {
  checkOptions("dilatedWindowMask", window, ["left", "right", "dilation"]);
  const { left, right = 0, dilation } = window;
  checkCount("dilatedWindowMask dilation", dilation, 1);
  for (const [name, keys] of Object.entries({ left, right })) {
    checkCount(`dilatedWindowMask ${name}`, keys);
    checkCount(`dilatedWindowMask ${name} * dilation`, keys * dilation);
  }
  return { wgsl: dilatedWindow.body, constants: { left, right, dilation } };
}

/**
 * A prefix that sees all of itself, before a causal rest (arXiv 1910.10683).
 *
 * @param prefixes [B] lengths
 */
export function prefixLmMask(prefixes: Numbers): MaskFunction {
  return { wgsl: prefixLm.body, bindings: { prefixes: { type: "array<u32>", data: prefixes } } };
}

/**
 * Documents behind each other in one sequence: a token sees those of its own document only.
 *
 * @param documents a number for each token of the keys, [tokens], or [batches, tokens] where batch entries differ; query rows have
 *   those of their positions
 * @param tokens how many tokens there are
 * @param batches lists in `documents`, one for each batch entry; default 1: all share it
 * @throws AttentionError "shape" for fewer numbers
 */
export function documentMask(documents: Numbers, tokens: number, batches = 1): MaskFunction {
  checkCount("documentMask tokens", tokens, 1);
  checkCount("documentMask batches", batches, 1);
  const length = isBuffer(documents) ? Math.floor(documents.size / 4) : documents?.length;
  const right = isBuffer(documents) ? length >= batches * tokens : length === batches * tokens;
  if (!right)
    fail(
      "shape",
      "documents",
      `${batches * tokens} numbers, [${batches}, ${tokens}]`,
      length,
      "Number every token.",
    );
  return {
    wgsl: document.body,
    constants: { stride: batches > 1 ? tokens : 0 },
    bindings: { documents: { type: "array<u32>", data: documents } },
  };
}

/**
 * Neighbourhood attention over the pixels of an image, rows first (arXiv 2204.07143): each sees a window around it, which at the
 * borders stays inside.
 *
 * @param image.kernel odd size of the window, or [rows, columns] of it
 * @throws AttentionError "shape" unless the window fits into the image
 */
export function neighborhoodMask(image: {
  readonly height: number;
  readonly width: number;
  readonly kernel: number | readonly [rows: number, columns: number];
}): MaskFunction {
  checkOptions("neighborhoodMask", image, ["height", "width", "kernel"]);
  const { height, width, kernel } = image;
  const [rows, columns] = typeof kernel === "number" ? [kernel, kernel] : kernel;
  checkCount("neighborhoodMask height", height, 1);
  checkCount("neighborhoodMask width", width, 1);
  for (const [name, size, most] of [["rows", rows, height] as const, ["columns", columns, width] as const]) {
    if (!Number.isInteger(size) || size < 1 || size > most || size % 2 === 0)
      fail(
        "shape",
        `neighborhoodMask kernel ${name}`,
        `an odd number from 1 to ${most}`,
        size,
        "Choose another window.",
      );
  }
  return {
    wgsl: neighborhood.body,
    constants: { height, width, kernel_height: rows, kernel_width: columns },
  };
}

function checkCount(name: string, value: unknown, least = 0): void {
  if (!Number.isInteger(value) || (value as number) < least || (value as number) > 2 ** 30)
    fail("shape", name, `an integer of at least ${least}`, value, "It counts tokens.");
}
