import type { Capabilities } from "../../src/dispatch/capabilities.js";
import { checkBoolean, checkLength, checkNumber, expectEqual, fail } from "../../src/dispatch/check.js";
import {
  broadcastLayout,
  byHeadLayout,
  checkBindable,
  checkHeadDims,
  expectShape,
} from "../../src/dispatch/layout.js";
import { checkQ8Rows } from "../../src/dispatch/q8-layout.js";
import type { DType, Shape4, TensorLayout } from "../../src/dispatch/tensor-view.js";
import { checkLayout, checkOptions } from "../../src/dispatch/validate.js";
import { type BlockMask, checkBlockMask } from "./block-mask.js";
import type { ModSlots } from "./mod-slots.js";
import { OPTION_NAMES, type RotaryOptions, type SoftmaxOptions } from "./options.js";
import { type PackedSequences, packedSequences } from "./packed.js";
import { checkQueryRows } from "./query-rows.js";

/** What to plan for: tensor layouts (a `TensorView` is one) and options. */
export interface SoftmaxProblem extends SoftmaxOptions {
  /** [B, Tq, Hq, D] f32 or f16, D from 1 to 256 */
  readonly q: TensorLayout;
  /** [B, Tk, Hkv, D] f32, f16 or q8 (`q8Layout`); Hq is a multiple of Hkv, and query head h reads key head floor(h / (Hq / Hkv)) */
  readonly k: TensorLayout;
  /** [B, Tk, Hkv, Dv] of k's type, Dv from 1 to 256 */
  readonly v: TensorLayout;
  /** [B, Tq, Hq, Dv] of q's type. Default dense. */
  readonly out?: TensorLayout;
  /** [B, Tq, Hq, 1] f32 log-sum-exp of each row's logits. `true`: dense per head, strides [Hq*Tq, 1, Tq, 1]. Default none. */
  readonly lse?: TensorLayout | boolean;
}

/** A checked problem with every default filled in. Plain data: the planner needs nothing else. */
export interface SoftmaxShape {
  readonly batches: number;
  readonly tokensQ: number;
  readonly tokensK: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
  readonly valueDim: number;
  readonly alignToLength: boolean;
  readonly queryOffset: number;
  /** Keys seen before and after the position; `undefined` is all. Causal is a right window of 0. */
  readonly windowLeft?: number;
  readonly windowRight?: number;
  readonly scale: number;
  readonly softcap?: number;
  readonly alibi: boolean;
  readonly sinks: boolean;
  readonly keyMask: boolean;
  readonly rotary?: {
    readonly dim: number;
    readonly interleaved: boolean;
    readonly frequencies: readonly number[];
  };
  readonly q: TensorLayout;
  readonly k: TensorLayout;
  readonly v: TensorLayout;
  readonly out: TensorLayout;
  readonly lse?: TensorLayout;
  /** [B, Hq, Tq, Tk] with stride 0 along broadcast axes. */
  readonly bias?: TensorLayout;
  readonly mods?: ModSlots;
  readonly blockMask?: BlockMask;
  readonly queryRows?: GPUBuffer;
  readonly packed?: PackedSequences;
}

const TENSOR_NAMES = ["q", "k", "v", "out", "lse"] as const;
const STORAGE: readonly DType[] = ["f32", "f16"];
/** What attention itself reads k and v in; the passes around it take no q8. */
export const KV_STORAGE: readonly DType[] = ["f32", "f16", "q8"];

/**
 * Checks a problem without touching the GPU.
 *
 * @param mods its mods, checked already (`loadMods`); without them the problem is taken as one that has none
 * @param kvStorage types that k and v may have
 * @throws AttentionError "shape", "dtype", "limit", or "unsupported" for options it does not know
 */
export function checkProblem(
  problem: SoftmaxProblem,
  capabilities: Capabilities,
  mods?: ModSlots,
  kvStorage = STORAGE,
): SoftmaxShape {
  checkOptions("softmaxAttention", problem, [...TENSOR_NAMES, ...OPTION_NAMES]);
  const { q, k, v } = problem;
  checkInputs(q, k, v, kvStorage);
  if (k.dtype === "q8")
    for (const [name, layout] of Object.entries({ k, v })) checkQ8Rows(name, layout, capabilities);
  const [batches, tokensQ, heads, headDim] = q.shape;
  const [, tokensK, kvHeads] = k.shape;
  const valueDim = v.shape[3];

  const outShape: Shape4 = [batches, tokensQ, heads, valueDim];
  const out = problem.out ?? { dtype: q.dtype, shape: outShape };
  expectShape("out", out, outShape, [q.dtype]);
  const lse = problem.lse === true ? byHeadLayout(batches, tokensQ, heads) : problem.lse || undefined;
  if (lse) expectShape("lse", lse, [batches, tokensQ, heads, 1], ["f32"]);
  const bias =
    problem.bias && broadcastLayout("bias", problem.bias, [batches, heads, tokensQ, tokensK], BIAS_AXES);
  checkBindable({ q, k, v, out, lse, bias }, capabilities);

  const {
    causal = false,
    scale = 1 / Math.sqrt(headDim),
    queryOffset = tokensK - tokensQ,
    softcap,
    rope,
  } = problem;
  checkBoolean("causal", causal);
  checkNumber("scale", scale);
  if (softcap !== undefined) checkNumber("softcap", softcap, 0);
  const alignToLength = queryOffset === "end";
  if (!alignToLength && !(Number.isInteger(queryOffset) && Math.abs(queryOffset) + tokensQ < 2 ** 30)) {
    fail(
      "shape",
      "queryOffset",
      `an integer within ${2 ** 30}, or "end"`,
      queryOffset,
      "It is the position of query row 0 among the keys.",
    );
  }
  const resolvedOffset = alignToLength ? tokensK - tokensQ : queryOffset;
  const full: Shape4 = [batches, heads, tokensQ, tokensK];
  const { blockMask, queryRows } = problem;
  if (blockMask !== undefined) {
    const known = alignToLength && problem.keyLengths !== undefined ? undefined : resolvedOffset;
    checkBlockMask(blockMask, full, known);
  }
  if (queryRows !== undefined) checkQueryRows(queryRows, full, blockMask !== undefined);
  const packed = packedSequences(problem, full);
  const windowLeft = checkedWindow("left", problem.window);
  const windowRight = causal ? 0 : checkedWindow("right", problem.window);
  return {
    batches,
    tokensQ,
    tokensK,
    heads,
    kvHeads,
    headDim,
    valueDim,
    alignToLength,
    queryOffset: resolvedOffset,
    scale,
    alibi: problem.alibiSlopes !== undefined,
    sinks: problem.sinkLogits !== undefined,
    keyMask: problem.keyMask !== undefined,
    q,
    k,
    v,
    out,
    ...(windowLeft !== undefined && { windowLeft }),
    ...(windowRight !== undefined && { windowRight }),
    ...(softcap !== undefined && { softcap }),
    ...(rope && { rotary: checkedRotary(rope, headDim) }),
    ...(lse && { lse }),
    ...(bias && { bias }),
    ...(mods && { mods }),
    ...(blockMask && { blockMask }),
    ...(queryRows && { queryRows }),
    ...(packed && { packed }),
  };
}

function checkInputs(q: TensorLayout, k: TensorLayout, v: TensorLayout, kvStorage: readonly DType[]): void {
  checkLayout("q", q, STORAGE);
  checkLayout("k", k, kvStorage);
  checkLayout("v", v, kvStorage);
  if (v.dtype !== k.dtype)
    fail("dtype", "v.dtype", `"${k.dtype}", the type of k`, `"${v.dtype}"`, "Convert one of the two.");
  expectEqual("k.shape[0] (batch)", k.shape[0], q.shape[0], "the batch size of q");
  expectEqual("k.shape[3] (dim)", k.shape[3], q.shape[3], "the head dimension of q");
  expectEqual("v.shape[0] (batch)", v.shape[0], q.shape[0], "the batch size of q");
  expectEqual("v.shape[1] (tokens)", v.shape[1], k.shape[1], "the number of keys");
  expectEqual("v.shape[2] (heads)", v.shape[2], k.shape[2], "the number of key heads");
  if (q.shape[2] % k.shape[2] !== 0) {
    fail(
      "shape",
      "q.shape[2] (heads)",
      `a multiple of the ${k.shape[2]} key heads`,
      q.shape[2],
      "Every key head serves the same number of query heads.",
    );
  }
  checkHeadDims({ q, v });
}

const BIAS_AXES = "A bias has the axes [batch, heads, queries, keys].";

function checkedWindow(side: "left" | "right", window: SoftmaxOptions["window"]): number | undefined {
  if (window === undefined) return undefined;
  if (typeof window !== "object" || window === null)
    fail("shape", "window", "{ left?, right? }", window, "Leave it out for none.");
  checkOptions("window", window, ["left", "right"]);
  const value = window[side];
  if (value === undefined || value === Number.POSITIVE_INFINITY) return undefined;
  if (!Number.isInteger(value) || value < 0) {
    fail(
      "shape",
      `window.${side}`,
      "an integer of at least 0",
      value,
      "It counts keys beside the query's own position.",
    );
  }
  return Math.min(value, 2 ** 30);
}

function checkedRotary(rope: RotaryOptions, headDim: number): NonNullable<SoftmaxShape["rotary"]> {
  if (typeof rope !== "object")
    fail("shape", "rope", "{ theta?, dim?, interleaved?, frequencies? }", rope, "Leave it out for none.");
  checkOptions("rope", rope, ["theta", "dim", "interleaved", "frequencies"]);
  const { theta = 10_000, dim = headDim, interleaved = false } = rope;
  checkNumber("rope.theta", theta, 0);
  checkBoolean("rope.interleaved", interleaved);
  if (!Number.isInteger(dim) || dim < 2 || dim > headDim || dim % 2 !== 0) {
    fail(
      "shape",
      "rope.dim",
      `an even number from 2 to the head dimension ${headDim}`,
      dim,
      "Rotation takes channels in pairs.",
    );
  }
  if (rope.frequencies) {
    checkLength("rope.frequencies", rope.frequencies, dim / 2, "one for each pair of channels");
    Array.from(rope.frequencies).forEach((value, pair) => {
      checkNumber(`rope.frequencies[${pair}]`, value);
    });
  }
  const frequencies =
    rope.frequencies ?? Array.from({ length: dim / 2 }, (_, pair) => theta ** ((-2 * pair) / dim));
  return { dim, interleaved, frequencies: Array.from(frequencies) };
}
