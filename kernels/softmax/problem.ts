import type { Capabilities } from "../../src/dispatch/capabilities.js";
import { AttentionError, type AttentionErrorCode } from "../../src/dispatch/errors.js";
import type { Shape4, TensorLayout } from "../../src/dispatch/tensor-view.js";
import { bindingRange, checkLayout, checkOptions } from "../../src/dispatch/validate.js";

/** Per-batch integers: values, or a u32 buffer of [batch] with COPY_SRC usage that is read at every `record`. */
export type PerBatch = ArrayLike<number> | GPUBuffer;

/** Options of softmax attention; defaults are those of the paper's plain form. */
export interface SoftmaxOptions {
  /** Query row i sees keys j <= its position, row index + `queryOffset`. Default false. */
  readonly causal?: boolean;
  /**
   * Position of query row 0 among the keys, for causal masks. Default Tk - Tq: both sequences end together.
   * `"end"` aligns with the end of each batch's own keys (`keyLengths`), found on the GPU: for a cache that grows.
   */
  readonly queryOffset?: number | "end";
  /** Factor of q · k. Default 1 / sqrt(D). */
  readonly scale?: number;
  /** First visible key of each batch entry (left padding). Default 0. */
  readonly keyStarts?: PerBatch;
  /** One past the last visible key of each batch entry, counted from key 0 (right padding, cache fill). Default Tk. */
  readonly keyLengths?: PerBatch;
}

/** What to plan for: tensor layouts (a `TensorView` is one) and options. */
export interface SoftmaxProblem extends SoftmaxOptions {
  /** [B, Tq, Hq, D], D from 1 to 256 */
  readonly q: TensorLayout;
  /** [B, Tk, Hkv, D]; Hq is a multiple of Hkv, and query head h reads key head floor(h / (Hq / Hkv)) */
  readonly k: TensorLayout;
  /** [B, Tk, Hkv, Dv], Dv from 1 to 256 */
  readonly v: TensorLayout;
  /** [B, Tq, Hq, Dv]. Default dense. */
  readonly out?: TensorLayout;
  /** [B, Tq, Hq, 1] log-sum-exp of each row's logits. `true`: dense per head, strides [Hq*Tq, 1, Tq, 1]. Default none. */
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
  readonly causal: boolean;
  readonly alignToLength: boolean;
  readonly queryOffset: number;
  readonly scale: number;
  readonly q: TensorLayout;
  readonly k: TensorLayout;
  readonly v: TensorLayout;
  readonly out: TensorLayout;
  readonly lse?: TensorLayout;
}

export const OPTION_NAMES = [
  "causal",
  "queryOffset",
  "scale",
  "keyStarts",
  "keyLengths",
] as const satisfies (keyof SoftmaxOptions)[];
const TENSOR_NAMES = ["q", "k", "v", "out", "lse"] as const;
const MAX_HEAD_DIM = 256;

/** Layout of `lse: true`: each head's rows side by side. */
export function defaultLse([batch, tokens, heads]: Shape4): TensorLayout {
  return { dtype: "f32", shape: [batch, tokens, heads, 1], strides: [heads * tokens, 1, tokens, 1] };
}

/**
 * Checks a problem without touching the GPU.
 *
 * @throws AttentionError "shape", "dtype", "limit", or "unsupported" for options it does not know
 */
export function checkProblem(problem: SoftmaxProblem, capabilities: Capabilities): SoftmaxShape {
  checkOptions("softmaxAttention", problem, [...TENSOR_NAMES, ...OPTION_NAMES]);
  const { q, k, v } = problem;
  for (const [name, layout] of Object.entries({ q, k, v })) checkLayout(name, layout, ["f32"]);
  const [batches, tokensQ, heads, headDim] = q.shape;
  const [, tokensK, kvHeads] = k.shape;
  const valueDim = v.shape[3];

  expect("shape", "k.shape[0] (batch)", k.shape[0], batches, "the batch size of q");
  expect("shape", "k.shape[3] (dim)", k.shape[3], headDim, "the head dimension of q");
  expect("shape", "v.shape[0] (batch)", v.shape[0], batches, "the batch size of q");
  expect("shape", "v.shape[1] (tokens)", v.shape[1], tokensK, "the number of keys");
  expect("shape", "v.shape[2] (heads)", v.shape[2], kvHeads, "the number of key heads");
  if (heads % kvHeads !== 0) {
    fail(
      "shape",
      "q.shape[2] (heads)",
      `a multiple of the ${kvHeads} key heads`,
      heads,
      "Every key head serves the same number of query heads.",
    );
  }
  for (const [name, dim] of [
    ["q.shape[3] (dim)", headDim],
    ["v.shape[3] (dim)", valueDim],
  ] as const) {
    if (dim > MAX_HEAD_DIM)
      fail("unsupported", name, `at most ${MAX_HEAD_DIM}`, dim, "Split wide heads into several.");
  }

  const outShape: Shape4 = [batches, tokensQ, heads, valueDim];
  const out = problem.out ?? { dtype: "f32", shape: outShape };
  checkOutputLayout("out", out, outShape);
  const lse = problem.lse === true ? defaultLse(q.shape) : problem.lse || undefined;
  if (lse) checkOutputLayout("lse", lse, [batches, tokensQ, heads, 1]);

  const limit = capabilities.limits.maxStorageBufferBindingSize;
  for (const [name, layout] of Object.entries({ q, k, v, out, ...(lse && { lse }) })) {
    const { size } = bindingRange(layout, capabilities);
    if (size <= limit) continue;
    fail(
      "limit",
      name,
      `at most ${limit} bytes (the device's maxStorageBufferBindingSize)`,
      `${size} bytes`,
      "Request the device with AttentionContext.requirements(adapter), or split heads or batch over several calls.",
    );
  }

  const { causal = false, scale = 1 / Math.sqrt(headDim), queryOffset = tokensK - tokensQ } = problem;
  if (typeof causal !== "boolean")
    fail("shape", "causal", "true or false", causal, "Leave it out for full attention.");
  if (typeof scale !== "number" || !Number.isFinite(scale)) {
    fail("shape", "scale", "a finite number", scale, "Leave it out for 1 / sqrt(headDim).");
  }
  const alignToLength = queryOffset === "end";
  if (!alignToLength && !(Number.isInteger(queryOffset) && Math.abs(queryOffset) + tokensQ < 2 ** 31)) {
    fail(
      "shape",
      "queryOffset",
      'an integer or "end"',
      queryOffset,
      "It is the position of query row 0 among the keys.",
    );
  }
  return {
    batches,
    tokensQ,
    tokensK,
    heads,
    kvHeads,
    headDim,
    valueDim,
    causal,
    alignToLength,
    scale,
    queryOffset: alignToLength ? tokensK - tokensQ : queryOffset,
    q,
    k,
    v,
    out,
    ...(lse && { lse }),
  };
}

function checkOutputLayout(name: string, layout: TensorLayout, shape: Shape4): void {
  checkLayout(name, layout, ["f32"]);
  layout.shape.forEach((size, axis) => {
    expect("shape", `${name}.shape[${axis}]`, size, shape[axis]!, `shape [${shape}]`);
  });
}

function expect(
  code: AttentionErrorCode,
  subject: string,
  got: number,
  expected: number,
  meaning: string,
): void {
  if (got !== expected)
    fail(code, subject, `${expected} (${meaning})`, got, "Shapes are [batch, tokens, heads, dim].");
}

function fail(code: AttentionErrorCode, subject: string, expected: string, got: unknown, fix: string): never {
  throw new AttentionError(code, { subject, expected, got: String(got), fix });
}
