import { TOLERANCE_F16, TOLERANCE_F32 } from "../../kernels/softmax/cases.js";
import {
  planSoftmaxAttention,
  type SoftmaxConfiguration,
  type SoftmaxOptions,
  type SoftmaxPlan,
} from "../../kernels/softmax/index.js";
import { type SoftmaxReferenceInputs, softmaxAttentionReference } from "../../kernels/softmax/reference.js";
import type { AttentionContext } from "../../src/dispatch/context.js";
import { asStored } from "../../src/dispatch/float16.js";
import type { Shape4 } from "../../src/dispatch/tensor-view.js";
import { difference } from "./compare.js";
import { normalArray, randomSource } from "./random.js";

/** Options for the kernels, and the same for the float64 reference, which takes JavaScript where kernels take WGSL. */
export interface SoftmaxRun {
  readonly batches?: number;
  readonly tokensQ: number;
  readonly tokensK: number;
  readonly heads?: number;
  readonly kvHeads?: number;
  readonly headDim?: number;
  readonly dtype?: "f32" | "f16";
  readonly options?: Omit<SoftmaxOptions, "bias">;
  readonly reference?: Omit<SoftmaxReferenceInputs, "q" | "k" | "v">;
  readonly configuration?: SoftmaxConfiguration;
  /** Rows that must be left untouched. Default none. */
  readonly untouched?: (b: number, h: number, i: number) => boolean;
  readonly seed?: number;
}

const UNTOUCHED = 77;

export interface SoftmaxErrors {
  /** Relative to the largest reference value. */
  readonly out: number;
  readonly lse: number;
  readonly outTolerance: number;
  readonly lseTolerance: number;
}

/** Runs a problem into outputs full of a mark and compares with the reference on inputs rounded to their storage. */
export async function runSoftmax(
  ctx: AttentionContext,
  run: SoftmaxRun,
  look: (plan: SoftmaxPlan) => void = () => {},
): Promise<SoftmaxErrors> {
  const { batches = 1, tokensQ, tokensK, heads = 2, kvHeads = heads, headDim = 16, dtype = "f32" } = run;
  const random = randomSource(run.seed ?? 1);
  const make = (shape: Shape4) => ({
    shape,
    data: asStored(normalArray(shape[0] * shape[1] * shape[2] * shape[3], random), dtype),
  });
  const [q, k, v] = [
    make([batches, tokensQ, heads, headDim]),
    make([batches, tokensK, kvHeads, headDim]),
    make([batches, tokensK, kvHeads, headDim]),
  ];
  const marks = (count: number) => new Float32Array(count).fill(UNTOUCHED);
  const rows = batches * tokensQ * heads;
  const tensors = {
    q: ctx.fromArray(q.data, q.shape, dtype),
    k: ctx.fromArray(k.data, k.shape, dtype),
    v: ctx.fromArray(v.data, v.shape, dtype),
    out: ctx.fromArray(marks(rows * headDim), [batches, tokensQ, heads, headDim], dtype),
    lse: ctx.fromArray(marks(rows), [batches, tokensQ, heads, 1]),
  };
  try {
    const plan = await planSoftmaxAttention(
      ctx,
      { ...run.options, ...tensors },
      run.configuration && { configuration: run.configuration },
    );
    look(plan);
    await ctx.submitChecked((encoder) => plan.record(encoder, tensors));
    plan.destroy();
    const expected = softmaxAttentionReference({ q, k, v, ...run.reference });
    for (let row = 0; row < rows; row++) {
      const [b, i, h] = [Math.floor(row / (heads * tokensQ)), Math.floor(row / heads) % tokensQ, row % heads];
      if (!run.untouched?.(b, h, i)) continue;
      expected.lse[row] = UNTOUCHED;
      expected.out.fill(UNTOUCHED, row * headDim, (row + 1) * headDim);
    }
    return {
      out: difference(await ctx.read(tensors.out), expected.out).maxRelative,
      lse: difference(await ctx.read(tensors.lse), expected.lse).maxRelative,
      outTolerance: dtype === "f16" ? TOLERANCE_F16 : TOLERANCE_F32,
      lseTolerance: TOLERANCE_F32,
    };
  } finally {
    for (const { buffer } of Object.values(tensors)) buffer.destroy();
  }
}

/** A buffer of words for kernels to read. The caller destroys it. */
export function wordBuffer(ctx: AttentionContext, words: ArrayLike<number>): GPUBuffer {
  const usage = 0x80 | 0x08 | 0x04; // STORAGE, COPY_DST, COPY_SRC
  const buffer = ctx.device.createBuffer({ size: Math.max(4 * words.length, 4), usage });
  ctx.device.queue.writeBuffer(buffer, 0, Uint32Array.from(words));
  return buffer;
}
