import type { SoftmaxOptions } from "../../kernels/softmax/index.js";
import { asStored } from "../../src/dispatch/float16.js";
import { stridesOf } from "../../src/dispatch/tensor-view.js";
import { type HeadOperations, planIntervenedAttention } from "../../src/hooks/index.js";
import type { DenseTensor } from "../../src/hooks/reference/dense-tensor.js";
import { type InterventionInputs, interventionReference } from "../../src/hooks/reference/intervene.js";
import type { AttentionContext, Shape4, TensorView } from "../../src/index.js";
import { difference } from "./compare.js";
import { optionsInBuffers } from "./option-buffers.js";
import { type Placement, placer } from "./placement.js";
import { normalArray, randomSource } from "./random.js";

/** Options for the kernels, and the same for the reference, which takes a bias where kernels take mods. */
export interface InterventionRun {
  readonly batches?: number;
  readonly tokensQ: number;
  readonly tokensK?: number;
  readonly heads?: number;
  readonly kvHeads?: number;
  readonly headDim?: number;
  readonly valueDim?: number;
  readonly dtype?: "f32" | "f16";
  readonly kvDtype?: "f32" | "f16";
  readonly options?: Omit<SoftmaxOptions, "bias">;
  /** Default: the options. */
  readonly reference?: Partial<InterventionInputs>;
  /** [1 or B, 1 or Tq, 1 or Hq, 1 or Tk], for kernels and reference. */
  readonly bias?: DenseTensor;
  readonly operations?: HeadOperations | readonly HeadOperations[];
  readonly hidden?: DenseTensor;
  readonly seed?: number;
  /** Standard deviation of queries. Default 1. */
  readonly spread?: number;
  /** Where tensors lie in their buffers. Default dense. */
  readonly placements?: Partial<Record<"q" | "k" | "v" | "out" | "lse" | "bias", Placement>>;
  /** Whether lengths, masks and sink logits are given as GPU buffers. Default false. */
  readonly buffers?: boolean;
}

export interface InterventionErrors {
  /** Relative to the largest reference value. */
  readonly out: number;
  readonly lse: number;
  /** The largest of each head. */
  readonly heads: readonly number[];
  readonly outTolerance: number;
  /** What was written. */
  readonly written: Float32Array;
}

const TOLERANCE_F32 = 1e-5;
const TOLERANCE_F16 = 2e-3;

/** Runs attention with operations into outputs full of NaN, beside inputs that are NaN where no query may look. */
export async function runIntervention(
  ctx: AttentionContext,
  run: InterventionRun,
): Promise<InterventionErrors> {
  const { batches = 1, tokensQ, tokensK = tokensQ, heads = 2, kvHeads = heads, headDim = 16 } = run;
  const { valueDim = headDim, dtype = "f32", kvDtype = dtype, options = {}, operations, bias, hidden } = run;
  const random = randomSource(run.seed ?? 1);
  const make = (shape: Shape4, stored: "f32" | "f16", factor = 1) => ({
    shape,
    data: asStored(
      normalArray(
        shape.reduce((a, b) => a * b),
        random,
      ).map((x) => x * factor),
      stored,
    ),
  });
  const q = make([batches, tokensQ, heads, headDim], dtype, run.spread ?? 1);
  const k = make([batches, tokensK, kvHeads, headDim], kvDtype);
  const v = make([batches, tokensK, kvHeads, valueDim], kvDtype);
  const place = placer(ctx, run.placements);
  const tensors = {
    q: place("q", q.shape, q.data, dtype),
    k: place("k", k.shape, hiddenNaN(k.data, k.shape, options), kvDtype),
    v: place("v", v.shape, hiddenNaN(v.data, v.shape, options), kvDtype),
    ...(bias && { bias: biasView(place("bias", bias.shape, bias.data)) }),
    ...(hidden && { hidden: ctx.fromArray(hidden.data, [batches, tokensK, 1, hidden.shape[3]]) }),
    out: place("out", [batches, tokensQ, heads, valueDim], undefined, dtype),
    lse: place("lse", [batches, tokensQ, heads, 1], undefined),
  };
  const created = Object.values(tensors).map(({ buffer }) => buffer);
  try {
    const plan = await planIntervenedAttention(ctx, {
      ...(run.buffers ? optionsInBuffers(ctx, tokensK, options, created) : options),
      ...tensors,
      ...(operations && { heads: operations }),
    });
    await ctx.submitChecked((encoder) => plan.record(encoder, tensors));
    plan.destroy();
    const written = await ctx.read(tensors.out);
    const expected = interventionReference({
      ...(options as Partial<InterventionInputs>),
      ...run.reference,
      ...{ q, k, v },
      ...(bias && !run.reference?.bias && { bias }),
      ...(operations && { heads: operations }),
      ...(hidden && { hidden: hiddenEntries(hidden, batches) }),
    });
    const ofHead = (values: ArrayLike<number>, h: number) =>
      Array.from(values).filter((_, n) => Math.floor(n / valueDim) % heads === h);
    const largest = expected.out.reduce((most, x) => Math.max(most, Math.abs(x)), 0);
    const errorOf = (h: number) =>
      difference(ofHead(written, h), ofHead(expected.out, h)).maxAbsolute / (largest || 1);
    return {
      out: difference(written, expected.out).maxRelative,
      heads: Array.from({ length: heads }, (_, h) => errorOf(h)),
      lse: difference(await ctx.read(tensors.lse), expected.lse).maxRelative,
      outTolerance: dtype === "f16" ? TOLERANCE_F16 : TOLERANCE_F32,
      written,
    };
  } finally {
    for (const buffer of created) buffer.destroy();
  }
}

/** The same memory with the axes that the kernels' option has: [batch, heads, queries, keys]. */
function biasView(view: TensorView): TensorView {
  const [b, i, h, j] = view.shape;
  const [sb, si, sh, sj] = stridesOf(view);
  return { ...view, shape: [b, h, i, j], strides: [sb, sh, si, sj] };
}

function hiddenEntries({ data, shape }: DenseTensor, batches: number) {
  const channels = shape[3];
  const size = data.length / batches;
  return Array.from({ length: batches }, (_, b) => ({
    data: Array.from(data).slice(b * size, (b + 1) * size),
    channels,
  }));
}

function hiddenNaN(
  data: Float32Array<ArrayBuffer>,
  [batches, tokens, heads, dim]: Shape4,
  { keyStarts, keyLengths, keyMask }: Omit<SoftmaxOptions, "bias">,
): Float32Array<ArrayBuffer> {
  const poisoned = data.slice();
  const at = (values: unknown, index: number) => (values as ArrayLike<number> | undefined)?.[index];
  for (let token = 0; token < batches * tokens; token++) {
    const [batch, key] = [Math.floor(token / tokens), token % tokens];
    const isVisible =
      key >= (at(keyStarts, batch) ?? 0) &&
      key < (at(keyLengths, batch) ?? tokens) &&
      (at(keyMask, token) ?? 1);
    if (!isVisible) poisoned.fill(Number.NaN, token * heads * dim, (token + 1) * heads * dim);
  }
  return poisoned;
}
