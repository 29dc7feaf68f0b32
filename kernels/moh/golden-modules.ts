import type { Shape4 } from "../../src/dispatch/tensor-view.js";
import type { GoldenFile } from "../../test/support/golden.js";
import type { DenseTensor } from "../softmax/reference.js";
import type { MixtureReferenceInputs } from "./reference.js";

/** A golden case as the authors' modules compute it from x: the projections around the heads, in float64. */
export function goldenModule({ metadata, tensors }: GoldenFile): MixtureReferenceInputs {
  const params = JSON.parse(metadata.params!) as Record<string, unknown>;
  const {
    heads,
    shared,
    routed_topk: topK,
    variant,
  } = params as Record<string, number> & { variant: string };
  const tensor = (name: string) => tensors.get(name) as { data: Float32Array; shape: number[] } | undefined;
  const x = tensor("x")!;
  const rows: DenseTensor = { data: x.data, shape: [x.shape[0]!, x.shape[1]!, 1, x.shape[2]!] };
  const matrix = (name: string): DenseTensor | undefined => {
    const stored = tensor(`w.${name}.weight`);
    return stored && transposed(stored);
  };
  const bias = (name: string) => tensor(`w.${name}.bias`)?.data;
  const router = variant === "llama" ? "norm" : "learned";
  const [routed, among, balance] = [matrix("wg"), matrix("wg_1"), matrix("wg_0")];
  const common = {
    ...({ x: rows, router, sharedHeads: shared!, topK: topK! } as const),
    weights: { ...(routed && { routed }), ...(among && { shared: among }), ...(balance && { balance }) },
  };
  if (variant === "llama") {
    const kvHeads = params.kv_heads as number;
    const project = (name: string, count: number) => split(linear(rows, matrix(name)!, bias(name)), count);
    return {
      ...common,
      q: project("q_proj", heads!),
      k: project("k_proj", kvHeads),
      v: project("v_proj", kvHeads),
      attention: { causal: params.causal as boolean, rope: { theta: params.rope_theta as number } },
      weight: matrix("o_proj")!,
      ...biasOf(bias("o_proj")),
    };
  }
  const qkv = linear(rows, matrix("qkv")!, bias("qkv"));
  const [q, k, v] = [0, 1, 2].map((part) => split(columnsOf(qkv, part, 3), heads!)) as [
    DenseTensor,
    DenseTensor,
    DenseTensor,
  ];
  const out = { weight: matrix("proj")!, ...biasOf(bias("proj")) };
  if (variant === "dit") return { ...common, q, k, v, ...out };
  // TransNeXt: unit vectors, an embedding of the query, a temperature; all of it in q and k.
  const embedding = tensor("w.query_embedding")!.data;
  const temperature = tensor("w.temperature")!.data;
  const dim = q.shape[3];
  const scaled = unit(q).map((value, i) => {
    const h = Math.floor(i / dim) % heads!;
    const factor = Math.log1p(Math.exp(temperature[h]!)) * (params.seq_length_scale as number);
    return factor * (value + embedding[h * dim + (i % dim)]!);
  });
  const relative = tensor("rel_bias");
  return {
    ...common,
    q: { data: scaled, shape: q.shape },
    k: { data: unit(k), shape: k.shape },
    v,
    attention: {
      scale: 1,
      ...(relative && { bias: { data: relative.data, shape: [1, ...relative.shape] as unknown as Shape4 } }),
    },
    ...out,
  };
}

const biasOf = (bias: Float32Array | undefined) => (bias ? { bias } : {});

/** [out, in] row-major as [1, 1, in, out]. */
function transposed({ data, shape }: { data: Float32Array; shape: number[] }): DenseTensor {
  const [outer, inner] = shape as [number, number];
  const flipped = Float64Array.from({ length: data.length }, (_, i) => {
    return data[(i % outer) * inner + Math.floor(i / outer)]!;
  });
  return { data: flipped, shape: [1, 1, inner, outer] };
}

function linear(x: DenseTensor, matrix: DenseTensor, bias?: ArrayLike<number>): DenseTensor {
  const [batches, tokens, , inner] = x.shape;
  const outer = matrix.shape[3];
  const data = Float64Array.from({ length: batches * tokens * outer }, (_, i) => {
    const [row, column] = [Math.floor(i / outer), i % outer];
    let sum = bias?.[column] ?? 0;
    for (let c = 0; c < inner; c++) sum += x.data[row * inner + c]! * matrix.data[c * outer + column]!;
    return sum;
  });
  return { data, shape: [batches, tokens, 1, outer] };
}

function columnsOf({ data, shape: [b, t, , all] }: DenseTensor, part: number, parts: number): DenseTensor {
  const width = all / parts;
  const own = Float64Array.from({ length: b * t * width }, (_, i) => {
    return data[Math.floor(i / width) * all + part * width + (i % width)]!;
  });
  return { data: own, shape: [b, t, 1, width] };
}

function split({ data, shape: [b, t, , width] }: DenseTensor, heads: number): DenseTensor {
  return { data, shape: [b, t, heads, width / heads] };
}

/** Rows of length 1; PyTorch's `normalize` divides by a norm of at least 1e-12. */
function unit({ data, shape }: DenseTensor): Float64Array {
  const dim = shape[3];
  return Float64Array.from({ length: data.length }, (_, i) => {
    const from = i - (i % dim);
    let squares = 0;
    for (let c = from; c < from + dim; c++) squares += data[c]! ** 2;
    return data[i]! / Math.max(Math.sqrt(squares), 1e-12);
  });
}
