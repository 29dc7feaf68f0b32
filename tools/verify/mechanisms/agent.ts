import type { AttentionContext, Shape4, TensorView } from "webgpu-attention";
import {
  type AgentCallOptions,
  agentAttention,
  bakeAgentBiases,
  diffusionAgents,
  type Grid,
  type PoolOptions,
  poolAgents,
} from "webgpu-attention/agent";
import { softmaxAttention } from "webgpu-attention/softmax";
import { entryImages, reducedRows, squareOf } from "../agent-parts.js";
import type { CaseBuffers } from "../case-buffers.js";
import { expectedOutput } from "../case-tensors.js";
import { LayerCalls } from "../layer-calls.js";
import type { ComparedOutput, Mechanism } from "../mechanism.js";
import { numbersOf, referenceTensor, requireTensor, type VerifyCase } from "../verify-case.js";

const TOLERANCE = 1e-5;
/** Attention weights are read off values that are an identity matrix, and a head has this many channels at most. */
const MOST_WEIGHTS = 256;

type Qkv = readonly [q: TensorView, k: TensorView, v: TensorView];

/** The module around agent attention from x to out, and the inner values that the file has. */
const runAgent: Mechanism = (ctx, testCase, buffers) => new AgentModule(ctx, testCase, buffers).run();

export default runAgent;

class AgentModule {
  readonly #ctx: AttentionContext;
  readonly #case: VerifyCase;
  readonly #buffers: CaseBuffers;
  readonly #layers: LayerCalls;
  readonly #heads: number;
  readonly #agentCount: number;

  constructor(ctx: AttentionContext, testCase: VerifyCase, buffers: CaseBuffers) {
    this.#ctx = ctx;
    this.#case = testCase;
    this.#buffers = buffers;
    this.#layers = new LayerCalls(ctx, testCase, buffers);
    this.#heads = testCase.params.heads as number;
    this.#agentCount = testCase.params.agent_num as number;
  }

  async run(): Promise<ComparedOutput[]> {
    switch (this.#case.params.variant) {
      case "agentsd":
        return this.#runDiffusion();
      case "deit":
      case "swin":
        return this.#runImage(await this.#fusedProjection());
      case "pvt":
        return this.#runImage(await this.#reducedProjection());
      case "cswin":
        return this.#runImage(this.#stackedInput());
      default:
        throw new Error(`params.variant is ${JSON.stringify(this.#case.params.variant)}`);
    }
  }

  async #runDiffusion(): Promise<ComparedOutput[]> {
    const { params } = this.#case;
    const x = this.#layers.rows(requireTensor(this.#case, "x"));
    const project = async (rows: TensorView, name: string) =>
      this.#split(await this.#layers.linear(rows, name));
    const [q, k, v] = [await project(x, "w.to_q"), await project(x, "w.to_k"), await project(x, "w.to_v")];
    const options = diffusionAgents(
      { tokens: q.shape[1], agents: this.#agentCount, headDim: q.shape[3] },
      present({ secondScaleExponent: params.k_scale2, shortcut: params.k_shortcut }),
    );
    const merged = this.#layers.empty([q.shape[0], q.shape[1], 1, v.shape[2] * v.shape[3]]);
    const out = this.#split(merged);
    if (options) {
      const agents = await project(this.#layers.rows(requireTensor(this.#case, "agent_x")), "w.to_q");
      await agentAttention(this.#ctx, q, agents, k, v, { ...options, out });
    } else {
      await softmaxAttention(this.#ctx, q, k, v, { out });
    }
    return [await this.#compared("out", await this.#layers.linear(merged, "w.to_out"))];
  }

  async #runImage([q, k, v]: Qkv): Promise<ComparedOutput[]> {
    const { params, tensors } = this.#case;
    const windowed = params.variant === "cswin";
    const grid = this.#grid();
    const keyGrid = (params.kv_window as Grid | undefined) ?? this.#keyGrid(grid);
    const classToken = params.cls_token === true;
    const side = Math.floor(Math.sqrt(this.#agentCount));
    const pool: PoolOptions = { grid, pool: side, classToken };
    const resolution = params.resolution as number;
    const windows = windowed ? { windows: { image: [resolution, resolution], size: grid } as const } : {};
    const options: AgentCallOptions = {
      ...this.#biases(side ** 2, grid, keyGrid, classToken),
      depthwise: { ...this.#convolution(windowed ? "w.get_v" : "w.dwc", v), grid, keyGrid, classToken },
      ...windows,
    };
    const merged = this.#layers.empty([q.shape[0], q.shape[1], 1, v.shape[2] * v.shape[3]]);
    await agentAttention(this.#ctx, q, pool, k, v, { ...options, out: this.#split(merged) });
    const projected = tensors.has("w.proj.weight") ? await this.#layers.linear(merged, "w.proj") : merged;

    const compared = [await this.#compared("out", projected)];
    if (referenceTensor(this.#case, "core")) compared.push(await this.#compared("core", merged));
    const agentTokens = expectedOutput("agent_tokens", this.#case, this.#buffers);
    if (agentTokens) {
      await poolAgents(this.#ctx, q, { ...pool, ...windows, out: agentTokens.view });
      compared.push(await this.#read(agentTokens));
    }
    if (referenceTensor(this.#case, "dwc_out"))
      compared.push(await this.#convolutionAlone([q, k, v], pool, options));
    if (!windowed) compared.push(...(await this.#weights([q, k, v], pool, options)));
    return compared;
  }

  /** One linear map to q, k and v side by side. */
  async #fusedProjection(): Promise<Qkv> {
    const rows = await this.#layers.linear(this.#layers.rows(requireTensor(this.#case, "x")), "w.qkv");
    return [this.#split(rows, 0, 3), this.#split(rows, 1, 3), this.#split(rows, 2, 3)];
  }

  /** PVT: keys and values of tokens that a convolution without overlap and a normalisation have reduced. */
  async #reducedProjection(): Promise<Qkv> {
    const { params } = this.#case;
    const x = this.#layers.rows(requireTensor(this.#case, "x"));
    const ratio = (params.sr_ratio as number | undefined) ?? 1;
    const epsilon = (params.ln_eps as number | undefined) ?? 1e-5;
    const reduced =
      ratio === 1
        ? x
        : await this.#layers.layerNorm(
            await reducedRows(this.#ctx, this.#case, this.#buffers, x, this.#grid()),
            "w.norm",
            epsilon,
          );
    const rows = await this.#layers.linear(reduced, "w.kv");
    const q = this.#split(await this.#layers.linear(x, "w.q"));
    return [q, this.#split(rows, 0, 2), this.#split(rows, 1, 2)];
  }

  /** CSWin: x is q, k and v already, [3, B, N, C]. */
  #stackedInput(): Qkv {
    const x = requireTensor(this.#case, "x");
    const [, batch, tokens, width] = x.shape as [number, number, number, number];
    const buffer = this.#buffers.upload(numbersOf(x));
    const part = (index: number): TensorView => ({
      ...this.#split({ buffer, dtype: "f32", shape: [batch, tokens, 1, width] }),
      offset: index * batch * tokens * width,
    });
    return [part(0), part(1), part(2)];
  }

  #grid(): Grid {
    const { window, H, W } = this.#case.params;
    return (window ?? [H, W]) as Grid;
  }

  #keyGrid([rows, columns]: Grid): Grid {
    const ratio = (this.#case.params.sr_ratio as number | undefined) ?? 1;
    return [rows / ratio, columns / ratio];
  }

  #biases(agents: number, grid: Grid, keyGrid: Grid, classToken: boolean) {
    const heads = this.#heads;
    const values = (name: string) => numbersOf(requireTensor(this.#case, `w.${name}_bias`));
    const { agentBias, queryBias } = bakeAgentBiases(
      {
        ...{ anBias: values("an"), naBias: values("na"), ahBias: values("ah") },
        ...{ awBias: values("aw"), haBias: values("ha"), waBias: values("wa") },
        ...(classToken && { acBias: values("ac"), caBias: values("ca") }),
      },
      { heads, agents, grid, keyGrid },
    );
    return {
      agentBias: this.#f32(agentBias, [1, heads, agents, agentBias.length / heads / agents]),
      queryBias: this.#f32(queryBias, [1, heads, queryBias.length / heads / agents, agents]),
    };
  }

  /** Weights as PyTorch has them, [H · Dv, 1, 3, 3], seen as [1, 9, H, Dv]. */
  #convolution(name: string, v: TensorView): { weight: TensorView; bias?: TensorView } {
    const [, , heads, dim] = v.shape;
    const weight: TensorView = {
      ...this.#f32(numbersOf(requireTensor(this.#case, `${name}.weight`)), [1, 9, heads, dim]),
      strides: [0, 1, 9 * dim, 9],
    };
    const bias = this.#case.tensors.get(`${name}.bias`);
    return { weight, ...(bias && { bias: this.#f32(numbersOf(bias), [1, 1, heads, dim]) }) };
  }

  /** The convolution by itself: agents that see no key have no value. */
  async #convolutionAlone(
    [q, k, v]: Qkv,
    pool: PoolOptions,
    options: AgentCallOptions,
  ): Promise<ComparedOutput> {
    const expected = numbersOf(referenceTensor(this.#case, "dwc_out")!);
    const agentBias = this.#f32([Number.NEGATIVE_INFINITY], [1, 1, 1, 1]);
    const out = this.#layers.empty([q.shape[0], q.shape[1], q.shape[2], v.shape[3]]);
    await agentAttention(this.#ctx, q, pool, k, v, { ...options, agentBias, out });
    const rows = await this.#ctx.read(out);
    return {
      name: "dwc_out",
      tolerance: TOLERANCE,
      expected,
      actual: entryImages(rows, expected.length, this.#case, pool),
    };
  }

  /** Attention weights: each softmax with an identity matrix for values and, in place of the other softmax, one that picks. */
  async #weights(
    [q, k]: Qkv,
    pool: PoolOptions,
    { agentBias, queryBias }: AgentCallOptions,
  ): Promise<ComparedOutput[]> {
    const first = expectedOutput("attn_agent_kv", this.#case, this.#buffers);
    const second = expectedOutput("attn_q_agent", this.#case, this.#buffers);
    if (!first && !second) return [];
    const agents = await poolAgents(this.#ctx, q, pool);
    const count = agents.shape[1];
    const picking = this.#f32(squareOf(count, 0, Number.NEGATIVE_INFINITY), [1, 1, count, count]);
    const compared: ComparedOutput[] = [];
    if (first && k.shape[1] <= MOST_WEIGHTS) {
      const options = { ...(agentBias && { agentBias }), queryBias: picking, out: first.view };
      await agentAttention(this.#ctx, agents, agents, k, this.#identity(k), options);
      compared.push(await this.#read(first));
    }
    if (second && count <= MOST_WEIGHTS) {
      const options = { agentBias: picking, ...(queryBias && { queryBias }), out: second.view };
      await agentAttention(this.#ctx, q, agents, agents, this.#identity(agents), options);
      compared.push(await this.#read(second));
    }
    agents.buffer.destroy();
    return compared;
  }

  /** Values that tell each key's weight: [B, M, H, M]. */
  #identity({ shape: [batch, tokens, heads] }: TensorView): TensorView {
    return {
      ...this.#f32(squareOf(tokens, 1, 0), [batch, tokens, heads, tokens]),
      strides: [0, tokens, 0, 1],
    };
  }

  /** Rows [B, N, 1, parts · H · D] seen as one part of [B, N, H, D]. */
  #split(rows: TensorView, part = 0, parts = 1): TensorView {
    const [batch, tokens, , all] = rows.shape;
    const width = all / parts;
    const dim = width / this.#heads;
    return {
      ...rows,
      shape: [batch, tokens, this.#heads, dim],
      strides: [tokens * all, all, dim, 1],
      offset: part * width,
    };
  }

  #f32(values: ArrayLike<number>, shape: Shape4): TensorView {
    return { buffer: this.#buffers.upload(values), dtype: "f32", shape };
  }

  async #compared(name: string, view: TensorView): Promise<ComparedOutput> {
    const expected = numbersOf(referenceTensor(this.#case, name)!);
    return { name, actual: await this.#ctx.read(view), expected, tolerance: TOLERANCE };
  }

  async #read(output: { name: string; view: TensorView; expected: Float64Array }): Promise<ComparedOutput> {
    const { name, view, expected } = output;
    return { name, actual: await this.#ctx.read(view), expected, tolerance: TOLERANCE };
  }
}

function present(options: Record<string, unknown>): Record<string, number> {
  const given = Object.entries(options).filter(([, value]) => value !== undefined && value !== null);
  return Object.fromEntries(given) as Record<string, number>;
}
