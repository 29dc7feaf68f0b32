import type { Capabilities } from "../../src/dispatch/capabilities.js";
import { checkNumber, expectEqual, fail } from "../../src/dispatch/check.js";
import { byHeadLayout, checkBindable, checkHeadDims, expectShape } from "../../src/dispatch/layout.js";
import type { DType, Shape4, TensorLayout } from "../../src/dispatch/tensor-view.js";
import { checkLayout, checkOptions } from "../../src/dispatch/validate.js";
import { BLOCK_Q, geometryOf, type SaleGeometry } from "./geometry.js";
import { OPTION_NAMES, type SaleOptions } from "./options.js";

/** What to plan for: tensor layouts (a `TensorView` is one) and options. */
export interface SaleProblem extends SaleOptions {
  /** [B, T, Hq, D] f32 or f16, D from 1 to 256 */
  readonly q: TensorLayout;
  /** [B, T, Hkv, D] of q's type; Hq is a multiple of Hkv, and query head h reads key head floor(h / (Hq / Hkv)) */
  readonly k: TensorLayout;
  /** [B, T, Hkv, Dv] of q's type, Dv from 1 to 256 */
  readonly v: TensorLayout;
  /** [B, T, Hq, Dv] of q's type. Default dense. */
  readonly out?: TensorLayout;
  /** [B, T, Hq, 1] f32 log-sum-exp over the kept keys. `true`: dense per head, strides [Hq*T, 1, T, 1]. Default none. */
  readonly lse?: TensorLayout | boolean;
}

/** A checked problem with every default filled in. Plain data: the planner needs nothing else. */
export interface SaleShape extends SaleGeometry {
  readonly batches: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
  readonly valueDim: number;
  readonly scale: number;
  readonly q: TensorLayout;
  readonly k: TensorLayout;
  readonly v: TensorLayout;
  readonly out: TensorLayout;
  readonly lse?: TensorLayout;
}

const TENSOR_NAMES = ["q", "k", "v", "out", "lse"] as const;
const STORAGE: readonly DType[] = ["f32", "f16"];
const BLOCKS: readonly number[] = [16, 32, 64];

/**
 * Checks a problem without touching the GPU; the thresholds are checked where they are stored.
 *
 * @throws AttentionError "shape", "dtype", "limit", or "unsupported" for options it does not know
 */
export function checkProblem(problem: SaleProblem, capabilities: Capabilities): SaleShape {
  checkOptions("saleAttention", problem, [...TENSOR_NAMES, ...OPTION_NAMES]);
  const { q, k, v } = problem;
  checkInputs(q, k, v);
  const [batches, tokens, heads, headDim] = q.shape;
  const valueDim = v.shape[3];

  const { blockK = 32, segment = 128, localWindow = 128, scale = 1 / Math.sqrt(headDim) } = problem;
  checkNumber("scale", scale, 0);
  if (!BLOCKS.includes(blockK)) fail("unsupported", "blockK", "16, 32 or 64", blockK, "Leave it out for 32.");
  checkMultiple("segment", segment, blockK, blockK);
  checkMultiple("localWindow", localWindow, blockK, BLOCK_Q);

  const outShape: Shape4 = [batches, tokens, heads, valueDim];
  const out = problem.out ?? { dtype: q.dtype, shape: outShape };
  expectShape("out", out, outShape, [q.dtype]);
  const lseShape: Shape4 = [batches, tokens, heads, 1];
  const lse = problem.lse === true ? byHeadLayout(batches, tokens, heads) : problem.lse || undefined;
  if (lse) expectShape("lse", lse, lseShape, ["f32"]);
  checkBindable({ q, k, v, out, lse }, capabilities);
  return {
    ...geometryOf({ tokens, blockK, segment, localWindow }),
    batches,
    heads,
    kvHeads: k.shape[2],
    headDim,
    valueDim,
    scale,
    q,
    k,
    v,
    out,
    ...(lse && { lse }),
  };
}

function checkInputs(q: TensorLayout, k: TensorLayout, v: TensorLayout): void {
  checkLayout("q", q, STORAGE);
  checkLayout("k", k, STORAGE);
  checkLayout("v", v, STORAGE);
  for (const [name, { dtype }] of Object.entries({ k, v })) {
    if (dtype !== q.dtype)
      fail("dtype", `${name}.dtype`, `"${q.dtype}", the type of q`, `"${dtype}"`, "Convert one of the two.");
  }
  expectEqual("k.shape[0] (batch)", k.shape[0], q.shape[0], "the batch size of q");
  expectEqual(
    "k.shape[1] (tokens)",
    k.shape[1],
    q.shape[1],
    "the number of queries: SALE prefills a whole prompt, and decoding takes softmaxAttention",
  );
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

function checkMultiple(name: string, value: number, unit: number, least: number): void {
  if (Number.isInteger(value) && value >= least && value % unit === 0 && value < 2 ** 30) return;
  const wanted = `a multiple of ${unit} (blockK) of at least ${least}`;
  fail("shape", name, wanted, value, "Leave it out for 128.");
}
