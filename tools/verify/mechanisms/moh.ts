import type { AttentionContext, Shape4, TensorView } from "webgpu-attention";
import { planL2Normalize } from "webgpu-attention/layers";
import {
  type HeadChoice,
  mixtureOfHeadAttention,
  projectHeads,
  type Routed,
  type RouterWeights,
  routeHeads,
} from "webgpu-attention/moh";
import { type SoftmaxCallOptions, softmaxAttention } from "webgpu-attention/softmax";
import type { CaseBuffers } from "../case-buffers.js";
import { LayerCalls } from "../layer-calls.js";
import type { ComparedOutput, Mechanism } from "../mechanism.js";
import { numbersOf, referenceTensor, requireTensor, type VerifyCase } from "../verify-case.js";

const TOLERANCE = 1e-5;
/** PyTorch's `normalize` divides by a norm of at least 1e-12, and the layer by the root of so large a sum of squares. */
const LEAST_SQUARES = 1e-24;

type Options = Pick<SoftmaxCallOptions, "causal" | "rope" | "scale" | "bias">;

interface Heads {
  readonly q: TensorView;
  readonly k: TensorView;
  readonly v: TensorView;
  readonly options: Options;
}

/** The module from x to out, and by its parts the inner values that the file has: logits, loss, heads, gated heads. */
const runMoh: Mechanism = (ctx, testCase, buffers) => new MohModule(ctx, testCase, buffers).run();

export default runMoh;

class MohModule {
  readonly #ctx: AttentionContext;
  readonly #case: VerifyCase;
  readonly #buffers: CaseBuffers;
  readonly #layers: LayerCalls;
  readonly #heads: number;
  readonly #choice: HeadChoice;
  readonly #learned: boolean;

  constructor(ctx: AttentionContext, testCase: VerifyCase, buffers: CaseBuffers) {
    const { params } = testCase;
    this.#ctx = ctx;
    this.#case = testCase;
    this.#buffers = buffers;
    this.#layers = new LayerCalls(ctx, testCase, buffers);
    this.#heads = params.heads as number;
    this.#choice = { sharedHeads: params.shared as number, topK: params.routed_topk as number };
    this.#learned = params.variant !== "llama";
  }

  async run(): Promise<ComparedOutput[]> {
    const x = this.#layers.rows(requireTensor(this.#case, "x"));
    const heads = await this.#projected(x);
    const { q, k, v, options } = heads;
    const choice = { ...this.#choice, router: this.#learned ? "learned" : "norm" } as const;
    const name = this.#learned ? "w.proj" : "w.o_proj";
    const outWeight = this.#matrix(`${name}.weight`)!;
    const outBias = this.#bias(`${name}.bias`);
    const weights = { ...this.#routerWeights(), out: outWeight, ...(outBias && { outBias }) };
    const out = this.#layers.empty([x.shape[0], x.shape[1], 1, outWeight.shape[3]]);
    await mixtureOfHeadAttention(this.#ctx, x, weights, { ...options, ...choice, q, k, v, out });
    const compared = [await this.#compared("out", out)];

    const routed = await this.#route(x, q);
    compared.push(...(await this.#routerOutputs(routed)));
    if (referenceTensor(this.#case, "core")) compared.push(await this.#core(heads, routed));
    for (const buffer of [routed.lists, routed.scores?.buffer]) buffer?.destroy();
    return compared;
  }

  async #projected(x: TensorView): Promise<Heads> {
    const { params } = this.#case;
    const causal = params.causal === undefined ? {} : { causal: params.causal as boolean };
    if (!this.#learned) {
      const kvHeads = (params.kv_heads as number | undefined) ?? this.#heads;
      const project = async (name: string, count: number) =>
        split(await this.#layers.linear(x, `w.${name}`), count);
      const q = await project("q_proj", this.#heads);
      const [k, v] = [await project("k_proj", kvHeads), await project("v_proj", kvHeads)];
      const theta = params.rope_theta as number | undefined;
      return { q, k, v, options: { ...causal, ...(theta && { rope: { theta } }) } };
    }
    const rows = await this.#layers.linear(x, "w.qkv");
    const kvHeads = (params.kv_heads as number | undefined) ?? this.#heads;
    const dim = rows.shape[3] / (this.#heads + 2 * kvHeads);
    const part = (first: number, count: number) => split(rows, count, first * dim, dim);
    const q = part(0, this.#heads);
    const [k, v] = [part(this.#heads, kvHeads), part(this.#heads + kvHeads, kvHeads)];
    if (params.variant === "dit") return { q, k, v, options: causal };
    const scaled = await this.#nextQueries(q);
    return {
      q: scaled,
      k: await this.#unit(k),
      v,
      options: { ...causal, ...this.#relativeBias(), scale: 1 },
    };
  }

  /** TransNeXt's queries: unit vectors plus an embedding, times a temperature and ln N. */
  async #nextQueries(q: TensorView): Promise<TensorView> {
    const [batch, tokens, heads, dim] = q.shape;
    const unit = await this.#ctx.read(await this.#unit(q));
    const embedding = this.#case.tensors.get("w.query_embedding");
    const added = embedding && numbersOf(embedding);
    const temperatures = this.#case.tensors.get("w.temperature");
    const temperature = temperatures && numbersOf(temperatures);
    const lengthScale = (this.#case.params.seq_length_scale as number | undefined) ?? Math.log(tokens);
    const values = unit.map((value, i) => {
      const [h, d] = [Math.floor(i / dim) % heads, i % dim];
      const factor = temperature ? softplus(temperature[h]!) * lengthScale : lengthScale;
      return factor * (value + (added?.[h * dim + d] ?? 0));
    });
    return { buffer: this.#buffers.upload(values), dtype: "f32", shape: [batch, tokens, heads, dim] };
  }

  /** Each head's channels divided by their norm, dense. Heads of a token lie side by side, so tokens can be entries of a batch. */
  async #unit({ shape, strides, ...rest }: TensorView): Promise<TensorView> {
    const [batch, tokens, heads, dim] = shape;
    const [, token, head] = strides!;
    const rows = [batch * tokens, heads, 1, dim] as const;
    const tensors = {
      x: { ...rest, shape: rows, strides: [token, head, dim, 1] as const },
      out: this.#layers.empty(rows),
    };
    const plan = await planL2Normalize(this.#ctx, { ...tensors, epsilon: LEAST_SQUARES });
    await this.#ctx.submitChecked((encoder) => plan.record(encoder, tensors));
    plan.destroy();
    return { ...tensors.out, shape };
  }

  #relativeBias(): { bias?: TensorView } {
    const stored = this.#case.tensors.get("rel_bias");
    if (!stored) return {};
    const shape = [...[1, 1, 1, 1], ...stored.shape].slice(-4) as unknown as Shape4;
    return { bias: { buffer: this.#buffers.upload(numbersOf(stored)), dtype: "f32", shape } };
  }

  #routerWeights(): RouterWeights<TensorView> {
    const { sharedHeads, topK } = this.#choice;
    if (!this.#learned) return {};
    const routed = topK > 0 ? this.#matrix("w.wg.weight") : undefined;
    const shared = sharedHeads > 0 ? this.#matrix("w.wg_1.weight") : undefined;
    const balance = sharedHeads > 0 && topK > 0 ? this.#matrix("w.wg_0.weight") : undefined;
    return { ...(routed && { routed }), ...(shared && { shared }), ...(balance && { balance }) };
  }

  #route(x: TensorView, q: TensorView): Promise<Routed> {
    const { sharedHeads, topK } = this.#choice;
    const scored = this.#learned ? sharedHeads > 1 || topK > 0 : topK > 0;
    return routeHeads(this.#ctx, this.#learned ? x : q, this.#routerWeights(), {
      ...{ heads: this.#heads, sharedHeads, topK, router: this.#learned ? "learned" : "norm" },
      gates: this.#layers.empty([x.shape[0], x.shape[1], this.#heads, 1]),
      scores: scored,
      // Else there is nothing to balance, and no loss to ask for.
      ...(this.#learned &&
        topK > 0 &&
        referenceTensor(this.#case, "l_aux") && { loss: this.#layers.empty([1, 1, 1, 1]) }),
    });
  }

  /** Logits of each matrix, the loss, and which heads are active. */
  async #routerOutputs({ gates, scores, loss }: Routed): Promise<ComparedOutput[]> {
    const compared: ComparedOutput[] = [];
    const weights = this.#routerWeights();
    const names = { router_wg: weights.routed, router_wg_1: weights.shared, router_wg_0: weights.balance };
    const width = scores?.shape[3] ?? 0;
    const found = scores && (await this.#ctx.read(scores));
    let first = 0;
    for (const [name, matrix] of Object.entries(names)) {
      if (!matrix) continue;
      const last = first + matrix.shape[3];
      const from = first;
      const expected = referenceTensor(this.#case, name);
      if (expected && found) {
        const actual = found.filter((_, i) => i % width >= from && i % width < last);
        compared.push({ name, actual, expected: numbersOf(expected), tolerance: TOLERANCE });
      }
      first = last;
    }
    const balance = referenceTensor(this.#case, "l_aux");
    if (loss) compared.push(await this.#compared("l_aux", loss));
    else if (balance)
      compared.push({ name: "l_aux", actual: [0], expected: numbersOf(balance), tolerance: TOLERANCE });
    const mask = referenceTensor(this.#case, "head_mask");
    if (mask) {
      const active = Array.from(await this.#ctx.read(gates), (gate) => (gate === 0 ? 0 : 1));
      compared.push({ name: "head_mask", actual: active, expected: numbersOf(mask), tolerance: 0 });
    }
    return compared;
  }

  /** The gated heads: attention on the listed rows only, projected with an identity matrix. */
  async #core({ q, k, v, options }: Heads, { gates, lists }: Routed): Promise<ComparedOutput> {
    const [batch, tokens, heads] = q.shape;
    const width = heads * v.shape[3];
    const attended = this.#layers.empty([batch, tokens, heads, v.shape[3]]);
    await softmaxAttention(this.#ctx, q, k, v, { ...options, queryRows: lists, out: attended });
    const identity = Float32Array.from({ length: width * width }, (_, i) => (i % (width + 1) === 0 ? 1 : 0));
    const weight: TensorView = {
      buffer: this.#buffers.upload(identity),
      dtype: "f32",
      shape: [1, 1, width, width],
    };
    const out = this.#layers.empty([batch, tokens, 1, width]);
    await projectHeads(this.#ctx, attended, gates, weight, { ...this.#choice, lists, out });
    return this.#compared("core", out);
  }

  /** A matrix of the file, [out, in], seen as [1, 1, in, out]. */
  #matrix(name: string): TensorView | undefined {
    const stored = this.#case.tensors.get(name);
    if (!stored) return undefined;
    const [outer, inner] = stored.shape as [number, number];
    const buffer = this.#buffers.upload(numbersOf(stored));
    return { buffer, dtype: "f32", shape: [1, 1, inner, outer], strides: [0, 0, 1, inner] };
  }

  #bias(name: string): TensorView | undefined {
    const stored = this.#case.tensors.get(name);
    if (!stored) return undefined;
    const values = numbersOf(stored);
    return { buffer: this.#buffers.upload(values), dtype: "f32", shape: [1, 1, 1, values.length] };
  }

  async #compared(name: string, view: TensorView): Promise<ComparedOutput> {
    const expected = numbersOf(referenceTensor(this.#case, name)!);
    return { name, actual: await this.#ctx.read(view), expected, tolerance: TOLERANCE };
  }
}

function softplus(x: number): number {
  return x > 20 ? x : Math.log1p(Math.exp(x));
}

/** Rows [B, N, 1, all] of which `heads` heads of `dim` channels from `offset` on are seen as [B, N, H, D]; default all. */
function split(rows: TensorView, heads: number, offset = 0, dim = rows.shape[3] / heads): TensorView {
  const [batch, tokens, , all] = rows.shape;
  return {
    ...rows,
    shape: [batch, tokens, heads, dim],
    strides: [tokens * all, all, dim, 1],
    offset,
  };
}
