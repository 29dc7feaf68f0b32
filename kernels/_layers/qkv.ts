import type { Capabilities } from "../../src/dispatch/capabilities.js";
import { expectEqual, fail } from "../../src/dispatch/check.js";
import { type BindablePlan, compilePlan } from "../../src/dispatch/compiled-plan.js";
import type { AttentionContext } from "../../src/dispatch/context.js";
import { dispatchFlops } from "../../src/dispatch/dispatch-budget.js";
import { checkBindable, checkHeadDims, expectShape } from "../../src/dispatch/layout.js";
import { checkQ8Rows } from "../../src/dispatch/q8-layout.js";
import {
  type Shape4,
  stridesOf,
  type TensorLayout,
  type TensorView,
} from "../../src/dispatch/tensor-view.js";
import { bindingRange, checkOptions } from "../../src/dispatch/validate.js";
import { CACHE_DTYPES } from "./cache-dtypes.js";
import { checkNumber, checkShape } from "./layouts.js";
import { checkLengths } from "./lengths.js";
import { checkMatmul, type MatmulShape, withVectors } from "./matmul.js";
import { checkVector, packVectors } from "./pack-vectors.js";
import type { PrologueProblem } from "./prologue.js";
import { qkvPasses } from "./qkv-passes.js";
import type { StackedWeights } from "./stacked-weights.js";

export interface QkvProblem extends PrologueProblem {
  /** Rows are the heads of q, then of k, then of v, each of D rows: (Hq + 2 Hkv) D together. */
  readonly weight: StackedWeights;
  /** [1, 1, 1, rows of the weights], read when planning. Default none. */
  readonly bias?: TensorView;
  /** [1, 1, 1, D]: each head of q is divided by its root mean square and multiplied by this. Read when planning. Default none. */
  readonly queryNorm?: TensorView;
  /** Likewise for k. */
  readonly keyNorm?: TensorView;
  /** Of both norms, at least 0. Default 1e-6. */
  readonly headEpsilon?: number;
  /** [B, T, Hq, D] f32. Default dense. */
  readonly q?: TensorLayout;
  /**
   * [B, capacity, Hkv, D] f32, f16 or q8: the cache, or the keys of this call alone. A head's q8 values (`q8Layout`) are
   * round(value / scale), its scale the largest size / 127.
   */
  readonly k: TensorLayout;
  /** [B, capacity, Hkv, D] of k's type */
  readonly v: TensorLayout;
  /**
   * u32 [B]: keys in the cache after this step, read at every run; softmax attention takes the same buffer as `keyLengths` with
   * `queryOffset: "end"`. Row t goes to place length - T + t; rows with none (left padding, a full cache) are not stored.
   * Default: row t goes to place t.
   */
  readonly lengths?: GPUBuffer;
}

/** Tensors of one `record`. Layouts are as planned; buffers may differ from call to call. */
export interface QkvTensors {
  readonly x: TensorView;
  readonly scale?: TensorView;
  readonly shift?: TensorView;
  /** Written, with a buffer of its own, as the others. */
  readonly q: TensorView;
  /** Written at the rows' places, the rest is left. */
  readonly k: TensorView;
  readonly v: TensorView;
}

export interface QkvShape {
  readonly product: MatmulShape;
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
  readonly capacity: number;
  readonly headEpsilon: number;
  readonly q: TensorLayout;
  readonly k: TensorLayout;
  readonly v: TensorLayout;
  readonly lengths?: GPUBuffer;
}

/**
 * Plans the projections of attention, q dense, k and v into their cache: keys are stored unrotated, since softmax attention
 * rotates them as it reads them. Up to eight rows are one pass for each part of the weights; more go through scratch, as do few with
 * more options than a device binds buffers.
 *
 * @throws AttentionError "shape", "dtype", "unsupported", "limit", "compile", "disposed", "device-lost"
 */
export async function planQkv(ctx: AttentionContext, problem: QkvProblem): Promise<BindablePlan<QkvTensors>> {
  const shape = checkQkv(problem, ctx.capabilities);
  const { modulation } = problem;
  await ctx.assertAlive();
  const vectors = await packVectors(ctx, shape.product.vectors);
  const segmentFlops = dispatchFlops(ctx.capabilities, ctx.maxDispatchMs);
  return withVectors(ctx, vectors, (source) =>
    compilePlan<QkvTensors>(ctx, {
      passes: qkvPasses(shape, source, ctx.capabilities, segmentFlops),
      specs: {
        x: { layout: problem.x },
        ...(modulation && { scale: { layout: modulation.scale } }),
        ...(modulation?.shift && { shift: { layout: modulation.shift } }),
        q: { layout: shape.q, output: true },
        k: { layout: shape.k, output: true },
        v: { layout: shape.v, output: true },
      },
      segmentFlops,
    }),
  );
}

const OPTIONS = [
  "x",
  "norm",
  "modulation",
  "weight",
  "bias",
  "queryNorm",
  "keyNorm",
  "headEpsilon",
  "q",
  "k",
  "v",
  "lengths",
] as const satisfies readonly (keyof QkvProblem)[];

/** Checks a problem without touching the GPU and fills in its defaults. */
export function checkQkv(problem: QkvProblem, capabilities: Capabilities): QkvShape {
  checkOptions("qkv", problem, OPTIONS);
  const {
    x,
    norm,
    modulation,
    weight,
    bias,
    queryNorm,
    keyNorm,
    headEpsilon = 1e-6,
    k,
    v,
    lengths,
  } = problem;
  const product = checkMatmul(
    { x, weight, ...(norm && { norm }), ...(modulation && { modulation }), ...(bias && { bias }) },
    capabilities,
  );
  const { batches, tokens } = product.prologue;
  const cache = checkCache(k, v, batches, capabilities);
  const { kvHeads, headDim, capacity } = cache;
  const heads = product.outputs / headDim - 2 * kvHeads;
  if (!Number.isInteger(heads) || heads < 1 || heads % kvHeads !== 0)
    fail(
      "shape",
      "weight.rows",
      `(Hq + ${2 * kvHeads}) * ${headDim}, with Hq a multiple of the ${kvHeads} key heads`,
      product.outputs,
      "Rows are the heads of q, then of k, then of v.",
    );
  const qShape: Shape4 = [batches, tokens, heads, headDim];
  const q = problem.q ?? { dtype: "f32", shape: qShape };
  checkShape("q", q, qShape);
  if (queryNorm) checkVector("queryNorm", queryNorm, headDim);
  if (keyNorm) checkVector("keyNorm", keyNorm, headDim);
  checkNumber("headEpsilon", headEpsilon, 0);
  checkBindable({ q, k, v }, capabilities);
  if (lengths !== undefined) checkLengths(lengths, batches);
  else if (tokens > capacity)
    fail(
      "shape",
      "k.shape[1] (tokens)",
      `at least the ${tokens} of x`,
      capacity,
      "Give the cache more places.",
    );
  return {
    product: { ...product, vectors: { ...product.vectors, queryNorm, keyNorm } },
    ...{ heads, kvHeads, headDim, capacity, headEpsilon, q, k, v },
    ...(lengths && { lengths }),
  };
}

function checkCache(k: TensorLayout, v: TensorLayout, batches: number, capabilities: Capabilities) {
  expectShape("k", k, k?.shape, CACHE_DTYPES);
  expectShape("v", v, k.shape, [k.dtype]);
  const [entries, capacity, kvHeads, headDim] = k.shape;
  expectEqual("k.shape[0] (batch)", entries, batches, "the batch size of x");
  checkHeadDims({ k });
  const pack = 2 ** CACHE_DTYPES.indexOf(k.dtype);
  for (const [name, layout] of Object.entries({ k, v })) {
    if (k.dtype === "q8") checkQ8Rows(name, layout, capabilities);
    const strides = stridesOf(layout);
    const aligned = [headDim, ...strides.slice(0, 3), bindingRange(layout, capabilities).base];
    if (pack === 1 || (strides[3] === 1 && aligned.every((size) => size % pack === 0))) continue;
    fail(
      "unsupported",
      `${name} (${k.dtype})`,
      `D, strides and offset in multiples of ${pack} elements, channels side by side`,
      `D ${headDim}, strides [${strides}], offset ${layout.offset ?? 0}`,
      "A word of four bytes belongs to one head.",
    );
  }
  return { capacity, kvHeads, headDim };
}
