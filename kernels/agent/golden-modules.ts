// The modules around agent attention that golden files hold, in float64: tests only.
import type { GoldenFile } from "../../test/support/golden.js";
import { bakeAgentBiases } from "./bake-biases.js";
import { diffusionAgents } from "./diffusion.js";
import type { Grid } from "./options.js";
import { type AgentReferenceInputs, cutWindows, type DenseTensor, poolAgentsReference } from "./reference.js";

export interface GoldenParams {
  readonly variant: "deit" | "swin" | "pvt" | "cswin" | "agentsd";
  readonly B: number;
  readonly N: number;
  readonly C: number;
  readonly heads: number;
  readonly agent_num: number;
  readonly cls_token?: boolean;
  readonly window?: Grid;
  readonly kv_window?: Grid;
  readonly sr_ratio?: number;
  readonly resolution?: number;
  readonly ln_eps?: number;
  readonly k_scale2?: number;
  readonly k_shortcut?: number;
}

/** What agent attention gets, and the projection after it. */
export interface GoldenModule {
  readonly params: GoldenParams;
  readonly inputs: AgentReferenceInputs;
  /** [entries, heads] matrices before flattening, for inner values. */
  readonly project: (core: ArrayLike<number>) => ArrayLike<number>;
}

export function goldenModule({ metadata, tensors }: GoldenFile): GoldenModule {
  const params = JSON.parse(metadata.params!) as GoldenParams;
  const { variant, heads, C, B, N } = params;
  const dim = C / heads;
  const get = (name: string) => tensors.get(name)?.data as Float32Array | undefined;
  const x = get("x")!;
  const linear = (name: string, input: ArrayLike<number>, outer = C, from = 0) =>
    linearRows(
      input,
      get(`w.${name}.weight`)!.subarray(from * C),
      get(`w.${name}.bias`)?.subarray(from),
      C,
      outer,
    );
  const tensor = (data: ArrayLike<number>, batches = B): DenseTensor => ({
    data,
    shape: [batches, data.length / C / batches, heads, dim],
  });
  const output = variant === "agentsd" ? "to_out" : "proj";
  const project = (core: ArrayLike<number>) => (variant === "cswin" ? core : linear(output, core));

  if (variant === "agentsd") {
    const defaults = diffusionAgents(
      { tokens: N, agents: params.agent_num, headDim: dim },
      { secondScaleExponent: params.k_scale2, shortcut: params.k_shortcut },
    );
    const agents = tensor(linear("to_q", get("agent_x")!));
    const [q, k, v] = ["to_q", "to_k", "to_v"].map((name) => tensor(linear(name, x)));
    return { params, project, inputs: { q: q!, k: k!, v: v!, agents, ...defaults } };
  }

  const { q, k, v } = projections();
  const grid = params.window!;
  const keyGrid = params.kv_window ?? grid;
  const classToken = params.cls_token ?? false;
  const { agentBias, queryBias } = bakeAgentBiases(
    {
      ...{ anBias: get("w.an_bias")!, naBias: get("w.na_bias")!, ahBias: get("w.ah_bias")! },
      ...{ awBias: get("w.aw_bias")!, haBias: get("w.ha_bias")!, waBias: get("w.wa_bias")! },
      ...(classToken && { acBias: get("w.ac_bias")!, caBias: get("w.ca_bias")! }),
    },
    { heads, agents: params.agent_num, grid, keyGrid },
  );
  const side = Math.floor(Math.sqrt(params.agent_num));
  const convolution = variant === "cswin" ? "get_v" : "dwc";
  const agents = poolAgentsReference(q, { grid, bins: [side, side], classToken });
  const rows = (data: ArrayLike<number>, count: number): DenseTensor => ({
    data,
    shape: [1, heads, count, data.length / heads / count],
  });
  return {
    params,
    project,
    inputs: {
      ...{ q, k, v, agents },
      agentBias: rows(agentBias, params.agent_num),
      queryBias: rows(queryBias, q.shape[1]),
      depthwise: {
        weight: tapsFirst(get(`w.${convolution}.weight`)!),
        bias: get(`w.${convolution}.bias`)!,
        ...{ grid, keyGrid, classToken },
      },
    },
  };

  function projections(): { q: DenseTensor; k: DenseTensor; v: DenseTensor } {
    if (variant === "cswin") {
      const image: Grid = [params.resolution!, params.resolution!];
      const [q, k, v] = [0, 1, 2].map((part) =>
        cutWindows(tensor(x.subarray(part * B * N * C, (part + 1) * B * N * C)), image, params.window!),
      );
      return { q: q!, k: k!, v: v! };
    }
    if (variant === "pvt") {
      const reduced = reduce(params, x, get);
      const [k, v] = [0, C].map((from) => tensor(linear("kv", reduced, C, from)));
      return { q: tensor(linear("q", x)), k: k!, v: v! };
    }
    const [q, k, v] = [0, C, 2 * C].map((from) => tensor(linear("qkv", x, C, from)));
    return { q: q!, k: k!, v: v! };
  }
}

/** x Wᵀ + b over rows of `inner` channels; `weight` is [outer, inner]. */
function linearRows(
  x: ArrayLike<number>,
  weight: ArrayLike<number>,
  bias: ArrayLike<number> | undefined,
  inner: number,
  outer: number,
): Float64Array {
  return Float64Array.from({ length: (x.length / inner) * outer }, (_, index) => {
    const [row, o] = [Math.floor(index / outer), index % outer];
    let sum = bias?.[o] ?? 0;
    for (let i = 0; i < inner; i++) sum += x[row * inner + i]! * weight[o * inner + i]!;
    return sum;
  });
}

/** PVT's reduced tokens: a convolution of r x r patches side by side, then layer normalisation. */
function reduce(
  { B, C, window, kv_window, sr_ratio: r = 1, ln_eps = 1e-5 }: GoldenParams,
  x: Float32Array,
  get: (name: string) => Float32Array | undefined,
): ArrayLike<number> {
  if (r === 1) return x;
  const [columns, [rows, across]] = [window![1], kv_window!];
  const [weight, bias] = [get("w.sr.weight")!, get("w.sr.bias")];
  const [scale, shift] = [get("w.norm.weight")!, get("w.norm.bias")!];
  const out: number[] = [];
  for (let token = 0; token < B * rows * across; token++) {
    const [b, y, xs] = [
      Math.floor(token / (rows * across)),
      Math.floor(token / across) % rows,
      token % across,
    ];
    const sums = Array.from({ length: C }, (_, o) => {
      let sum = bias?.[o] ?? 0;
      for (let i = 0; i < C; i++)
        for (let tap = 0; tap < r * r; tap++) {
          const pixel = (y * r + Math.floor(tap / r)) * columns + xs * r + (tap % r);
          const token = b * rows * r * columns + pixel;
          sum += x[token * C + i]! * weight[(o * C + i) * r * r + tap]!;
        }
      return sum;
    });
    const mean = sums.reduce((total, value) => total + value, 0) / C;
    const variance = sums.reduce((total, value) => total + (value - mean) ** 2, 0) / C;
    out.push(
      ...sums.map((value, c) => ((value - mean) / Math.sqrt(variance + ln_eps)) * scale[c]! + shift[c]!),
    );
  }
  return out;
}

/** [C, 1, 3, 3] to [9, C] */
function tapsFirst(weight: ArrayLike<number>): Float64Array {
  const channels = weight.length / 9;
  return Float64Array.from(
    weight,
    (_, index) => weight[(index % channels) * 9 + Math.floor(index / channels)]!,
  );
}
