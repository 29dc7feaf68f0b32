import { type SoftmaxReferenceInputs, softmaxAttentionReference } from "../../kernels/softmax/reference.js";
import { float16ToNumber } from "../../src/dispatch/float16.js";
import type { Shape4 } from "../../src/dispatch/tensor-view.js";
import { normalArray, type randomSource } from "./random.js";
import { type WritableTensor, writeSafetensors } from "./safetensors-writer.js";
import { swapAxes } from "./swap-axes.js";

/** Sizes of every vocabulary case: ragged, grouped heads, values narrower than keys. */
const [B, HQ, HKV, NQ, NK, D, DV] = [2, 4, 2, 7, 19, 12, 10];

/** What a case uses of the vocabulary of softmax case files. */
export interface Vocabulary {
  readonly params?: {
    causal?: boolean;
    off?: number;
    wl?: number;
    wr?: number;
    scale?: number;
    softcap?: number;
  };
  /** Storage of q, k and v. */
  readonly dtype?: "F32" | "F16";
  /** Sizes of `bias`, which broadcast to [B, Hq, Nq, Nk]. */
  readonly bias?: "full" | "heads" | "rows" | "keys" | "batches";
  /** Storage of `key_mask`, which hides every key of the last batch entry. */
  readonly mask?: "BOOL" | "U8";
  readonly slopes?: boolean;
  readonly sinks?: boolean;
  /** Which tensors hold the expectation. */
  readonly expectation?: "F32" | "_f64" | "64";
}

const BIAS_SHAPES: Readonly<Record<NonNullable<Vocabulary["bias"]>, Shape4>> = {
  full: [B, HQ, NQ, NK],
  heads: [1, HQ, 1, NK],
  rows: [1, 1, NQ, 1],
  keys: [1, 1, 1, NK],
  batches: [B, 1, NQ, NK],
};

/** Bytes of a case file that uses these words, with the float64 reference's result as its expectation. */
export function vocabularyCase(
  name: string,
  words: Vocabulary,
  random: ReturnType<typeof randomSource>,
): Uint8Array {
  const { params = {}, dtype = "F32", expectation = "F32" } = words;
  const numbers = (shape: readonly number[]): WritableTensor => {
    const count = shape.reduce((a, b) => a * b, 1);
    const data = normalArray(count, random);
    // Halves from 2^-4 to 2^4 with any fraction, and both signs.
    const halves = Uint16Array.from(
      data,
      (value) => (value < 0 ? 0x8000 : 0) + 0x2c00 + ((Math.abs(value) * 4096) % 0x2000),
    );
    return dtype === "F16" && shape.length === 4
      ? { dtype, shape, data: halves }
      : { dtype: "F32", shape, data };
  };
  const inputs = {
    q: numbers([B, HQ, NQ, D]),
    k: numbers([B, HKV, NK, D]),
    v: numbers([B, HKV, NK, DV]),
    ...(words.slopes && {
      slopes: { dtype: "F32", shape: [HQ], data: Float32Array.of(0.5, 0.25, 0.125, 0) },
    }),
    ...(words.sinks && { sinks: { dtype: "F32", shape: [HQ], data: Float32Array.of(-2, 0, 1.5, 4) } }),
    ...(words.mask && { key_mask: { dtype: words.mask, shape: [B, NK], data: keyMask() } }),
    ...(words.bias && { bias: biasTensor(BIAS_SHAPES[words.bias], random) }),
  };
  const { out, lse } = expected(inputs, params);
  const suffix = expectation === "F32" ? "" : expectation;
  const storage = (data: Float64Array) => (suffix ? data : Float32Array.from(data));
  return writeSafetensors(
    { mechanism: "softmax", case: name, params: JSON.stringify({ ...params, layout: "BHND" }) },
    {
      // float64 first, so that whoever maps the file finds it aligned
      [`out${suffix}`]: { dtype: suffix ? "F64" : "F32", shape: [B, HQ, NQ, DV], data: storage(out) },
      [`lse${suffix}`]: { dtype: suffix ? "F64" : "F32", shape: [B, HQ, NQ], data: storage(lse) },
      ...inputs,
    },
  );
}

function keyMask(): Uint8Array {
  return Uint8Array.from({ length: B * NK }, (_, i) => (i < (B - 1) * NK && i % 3 !== 0 ? 1 : 0));
}

function biasTensor(shape: Shape4, random: ReturnType<typeof randomSource>): WritableTensor {
  return {
    dtype: "F32",
    shape,
    data: normalArray(
      shape.reduce((a, b) => a * b),
      random,
    ),
  };
}

function expected(tensors: Record<string, WritableTensor>, params: NonNullable<Vocabulary["params"]>) {
  const values = (name: string) => {
    const tensor = tensors[name];
    if (!tensor) return undefined;
    const data = tensor.data as Float32Array | Uint16Array | Uint8Array;
    return tensor.dtype === "F16" ? Float32Array.from(data, float16ToNumber) : data;
  };
  const bias = tensors.bias && { data: values("bias")!, shape: tensors.bias.shape as Shape4 };
  const inputs: SoftmaxReferenceInputs = {
    q: { data: swapAxes(values("q")!, [B, HQ, NQ, D]), shape: [B, NQ, HQ, D] },
    k: { data: swapAxes(values("k")!, [B, HKV, NK, D]), shape: [B, NK, HKV, D] },
    v: { data: swapAxes(values("v")!, [B, HKV, NK, DV]), shape: [B, NK, HKV, DV] },
    causal: params.causal,
    queryOffset: params.off,
    window: { left: params.wl, right: params.wr },
    scale: params.scale,
    softcap: params.softcap,
    alibiSlopes: values("slopes"),
    bias,
    keyMask: values("key_mask"),
    sinkLogits: values("sinks"),
  };
  const { out, lse } = softmaxAttentionReference(inputs);
  return { out: swapAxes(out, [B, NQ, HQ, DV]), lse: swapAxes(lse, [B, NQ, HQ, 1]) };
}
