import { asStored } from "../../src/dispatch/float16.js";
import { elementCount, type Shape4 } from "../../src/dispatch/tensor-view.js";
import type { AgentCase } from "./cases.js";
import {
  type AgentReferenceInputs,
  agentAttentionReference,
  cutWindows,
  type DenseTensor,
  poolAgentsReference,
  windowTokens,
} from "./reference.js";

export interface DenseData extends DenseTensor {
  readonly data: Float32Array<ArrayBuffer>;
}

/** Dense data of a case, as its storage rounds it. */
export interface AgentCaseInputs {
  readonly q: DenseData;
  readonly k: DenseData;
  readonly v: DenseData;
  /** Absent where agents are pooled. */
  readonly agents?: DenseData;
  readonly agentBias?: DenseData;
  readonly queryBias?: DenseData;
  /** [1, 9, H, Dv] and [1, 1, H, Dv] */
  readonly depthwiseWeight?: DenseData;
  readonly depthwiseBias?: DenseData;
}

export function entriesOf({ batches, options: { windows } }: AgentCase): number {
  if (!windows) return batches;
  const { image, size } = windows;
  return (batches * image[0] * image[1]) / (size[0] * size[1]);
}

/** [B, tokens, H, dim] of q, k, v and out: with windows, of whole images. */
export function shapesOf(problem: AgentCase): Record<"q" | "k" | "v" | "out" | "agents", Shape4> {
  const { batches, heads, agents, headDim, valueDim, tokensQ, tokensK, options } = problem;
  const { image } = options.windows ?? {};
  const [rowsQ, rowsK] = image ? [image[0] * image[1], image[0] * image[1]] : [tokensQ, tokensK];
  return {
    q: [batches, rowsQ, heads, headDim],
    k: [batches, rowsK, heads, headDim],
    v: [batches, rowsK, heads, valueDim],
    out: [batches, rowsQ, heads, valueDim],
    agents: [entriesOf(problem), agents, heads, headDim],
  };
}

/** @param normal standard normal numbers, one a call */
export function makeCaseInputs(problem: AgentCase, normal: () => number): AgentCaseInputs {
  const { heads, agents, valueDim, tokensQ, tokensK, dtype, agentDtype, options } = problem;
  const shapes = shapesOf(problem);
  const make = (shape: Shape4, factor = 1): DenseData => ({
    data: Float32Array.from({ length: elementCount(shape) }, () => factor * normal()),
    shape,
  });
  const bias = (axes: NonNullable<typeof options.agentBias>, full: Shape4, hidden: number): DenseData => {
    const shape = full.map((size, axis) => (axes[axis] ? size : 1)) as unknown as Shape4;
    const made = make(shape);
    if (options.hide) hide(made, hidden, normal);
    return made;
  };
  const entries = entriesOf(problem);
  const factor = options.large ? 20 : 1;
  return {
    q: rounded(make(shapes.q, factor), dtype),
    k: rounded(make(shapes.k, factor), dtype),
    v: rounded(make(shapes.v), dtype),
    ...(!options.pool && { agents: rounded(make(shapes.agents, factor), agentDtype) }),
    ...(options.agentBias && { agentBias: bias(options.agentBias, [entries, heads, agents, tokensK], 0) }),
    ...(options.queryBias && {
      queryBias: bias(options.queryBias, [entries, heads, tokensQ, agents], tokensQ - 1),
    }),
    ...(options.depthwise && { depthwiseWeight: make([1, 9, heads, valueDim], 0.3) }),
    ...(options.depthwise?.bias && { depthwiseBias: make([1, 1, heads, valueDim]) }),
  };
}

/** Hides a third of a bias's places, and all of one row of each head. */
function hide({ data, shape }: DenseData, row: number, normal: () => number): void {
  const [, , rows, columns] = shape;
  for (let place = 0; place < data.length; place++) {
    if (Math.floor(place / columns) % rows === row || normal() > 0.43) data[place] = Number.NEGATIVE_INFINITY;
  }
}

function rounded({ data, shape }: DenseData, dtype: "f32" | "f16"): DenseData {
  return { shape, data: asStored(data, dtype) };
}

/** What a case's output must be, in the order of its tensor: windows are taken apart and put together again. */
export function expectedOutput(problem: AgentCase, inputs: AgentCaseInputs): Float64Array {
  const { windows, pool, depthwise, ...options } = problem.options;
  const entries = (tensor: DenseTensor) =>
    windows ? cutWindows(tensor, windows.image, windows.size) : tensor;
  const { agentBias, queryBias, depthwiseWeight, depthwiseBias } = inputs;
  const q = entries(inputs.q);
  const given: AgentReferenceInputs = {
    q,
    k: entries(inputs.k),
    v: entries(inputs.v),
    agents: pool ? pooled(q, pool) : inputs.agents!,
    ...(options.scale !== undefined && { scale: options.scale }),
    ...(options.secondScale !== undefined && { secondScale: options.secondScale }),
    ...(options.shortcut !== undefined && { shortcut: options.shortcut }),
    ...(agentBias && { agentBias }),
    ...(queryBias && { queryBias }),
    ...(depthwise && {
      depthwise: {
        ...depthwise,
        weight: depthwiseWeight!.data,
        ...(depthwiseBias ? { bias: depthwiseBias.data } : { bias: undefined }),
      },
    }),
  };
  const rows = agentAttentionReference(given);
  if (!windows) return rows;
  const channels = problem.heads * problem.valueDim;
  const out = new Float64Array(rows.length);
  windowTokens(problem.batches, windows.image, windows.size).forEach((token, place) => {
    out.set(rows.subarray(place * channels, (place + 1) * channels), token * channels);
  });
  return out;
}

/** Pooled agents of a case, in float64. */
export function pooled(
  q: DenseTensor,
  { grid, pool, classToken = false }: NonNullable<AgentCase["options"]["pool"]>,
): ReturnType<typeof poolAgentsReference> {
  return poolAgentsReference(q, { grid, bins: typeof pool === "number" ? [pool, pool] : pool, classToken });
}
