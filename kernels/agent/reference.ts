import type { Shape4 } from "../../src/dispatch/tensor-view.js";
import type { Grid } from "./options.js";

/** A dense row-major tensor [batch, tokens, heads, dim]. */
export interface DenseTensor {
  readonly data: ArrayLike<number>;
  readonly shape: Shape4;
}

export interface AgentReferenceInputs {
  /** [B, N, H, D] */
  readonly q: DenseTensor;
  /** [B, n, H, D] */
  readonly agents: DenseTensor;
  /** [B, M, H, D] */
  readonly k: DenseTensor;
  /** [B, M, H, Dv] */
  readonly v: DenseTensor;
  /** Default 1 / √D. */
  readonly scale?: number;
  /** Default `scale`. */
  readonly secondScale?: number;
  /** [1 or B, 1 or H, 1 or n, 1 or M] */
  readonly agentBias?: DenseTensor;
  /** [1 or B, 1 or H, 1 or N, 1 or n] */
  readonly queryBias?: DenseTensor;
  readonly depthwise?: {
    /** [9, H · Dv]: nine taps in row-major order. */
    readonly weight: ArrayLike<number>;
    /** [H · Dv] */
    readonly bias?: ArrayLike<number>;
    readonly grid: Grid;
    readonly keyGrid?: Grid;
    readonly classToken?: boolean;
  };
  /** Of v, which is added. */
  readonly shortcut?: number;
}

/**
 * Agent attention in float64 straight from its equations: two ordinary attentions one after the other, then the terms of V. The
 * specification of this folder's kernels.
 *
 * @returns [B, N, H, Dv]
 */
export function agentAttentionReference(inputs: AgentReferenceInputs): Float64Array {
  const { q, agents, k, v, agentBias, queryBias, depthwise, shortcut = 0 } = inputs;
  const { scale = 1 / Math.sqrt(q.shape[3]) } = inputs;
  const summary = attention(agents, k, v, scale, agentBias);
  const out = attention(q, agents, summary, inputs.secondScale ?? scale, queryBias).data;
  if (depthwise) {
    const local = convolution(v, q.shape[1], depthwise);
    for (let i = 0; i < out.length; i++) out[i]! += local[i]!;
  }
  if (shortcut !== 0) for (let i = 0; i < out.length; i++) out[i]! += shortcut * v.data[i]!;
  return out;
}

/** softmax(scale · q kᵀ + bias) v; a row without any finite logit gives zeros. */
function attention(
  q: DenseTensor,
  k: DenseTensor,
  v: DenseTensor,
  scale: number,
  bias: DenseTensor | undefined,
): { data: Float64Array; shape: Shape4 } {
  const [batches, rows, heads, dim] = q.shape;
  const columns = k.shape[1];
  const valueDim = v.shape[3];
  const data = new Float64Array(batches * rows * heads * valueDim);
  for (let b = 0; b < batches; b++) {
    for (let h = 0; h < heads; h++) {
      for (let i = 0; i < rows; i++) {
        const scores = Array.from({ length: columns }, (_, j) => {
          let product = 0;
          for (let d = 0; d < dim; d++) product += at(q, b, i, h, d) * at(k, b, j, h, d);
          return scale * product + (bias ? atBroadcast(bias, [b, h, i, j]) : 0);
        });
        const largest = scores.reduce((most, score) => Math.max(most, score), -Infinity);
        if (largest === -Infinity) continue;
        const weights = scores.map((score) => Math.exp(score - largest));
        const sum = weights.reduce((total, weight) => total + weight, 0);
        const row = ((b * rows + i) * heads + h) * valueDim;
        for (let j = 0; j < columns; j++) {
          for (let d = 0; d < valueDim; d++) data[row + d]! += (weights[j]! / sum) * at(v, b, j, h, d);
        }
      }
    }
  }
  return { data, shape: [batches, rows, heads, valueDim] };
}

/** The depthwise 3 x 3 convolution with zero padding 1 of v as an image, at every query. [B, N, H, Dv] */
function convolution(
  v: DenseTensor,
  queries: number,
  { weight, bias, grid, keyGrid = grid, classToken }: NonNullable<AgentReferenceInputs["depthwise"]>,
): Float64Array {
  const [batches, , heads, dim] = v.shape;
  const channels = heads * dim;
  const first = classToken ? 1 : 0;
  const [rows, columns] = grid;
  const out = new Float64Array(batches * queries * channels);
  for (let b = 0; b < batches; b++) {
    for (let c = 0; c < channels; c++) {
      const source = (y: number, x: number) =>
        at(v, b, first + y * keyGrid[1] + x, Math.floor(c / dim), c % dim);
      const image = Array.from({ length: rows }, (_, y) =>
        Array.from({ length: columns }, (_, x) => resized(source, keyGrid, grid, y, x)),
      );
      for (let y = 0; y < rows; y++) {
        for (let x = 0; x < columns; x++) {
          let sum = bias?.[c] ?? 0;
          for (let tap = 0; tap < 9; tap++) {
            const pixel = image[y + Math.floor(tap / 3) - 1]?.[x + (tap % 3) - 1] ?? 0;
            sum += weight[tap * channels + c]! * pixel;
          }
          out[(b * queries + first + y * columns + x) * channels + c] = sum;
        }
      }
    }
  }
  return out;
}

/** Bilinear interpolation with half-pixel centres (align_corners = false), as torch's `interpolate`. */
function resized(
  source: (y: number, x: number) => number,
  from: Grid,
  to: Grid,
  y: number,
  x: number,
): number {
  const [sy, sx] = [y, x].map((place, axis) =>
    Math.max(((place + 0.5) * from[axis]!) / to[axis]! - 0.5, 0),
  ) as [number, number];
  let sum = 0;
  for (let row = 0; row < from[0]; row++) {
    for (let column = 0; column < from[1]; column++) {
      // The last place counts for all that lies beyond it.
      const near = (at: number, place: number, last: number) =>
        Math.max(0, 1 - Math.abs(Math.min(at, last) - place));
      const share = near(sy, row, from[0] - 1) * near(sx, column, from[1] - 1);
      if (share > 0) sum += share * source(row, column);
    }
  }
  return sum;
}

/** Adaptive average pooling of [B, N, H, D] seen as an image, without its class token. [B, n, H, D] */
export function poolAgentsReference(
  { data, shape: [batches, tokens, heads, dim] }: DenseTensor,
  { grid, bins, classToken }: { readonly grid: Grid; readonly bins: Grid; readonly classToken?: boolean },
): { data: Float64Array; shape: Shape4 } {
  const binRange = (axis: 0 | 1, bin: number) => [
    Math.floor((bin * grid[axis]) / bins[axis]),
    Math.ceil(((bin + 1) * grid[axis]) / bins[axis]),
  ];
  const channels = heads * dim;
  const agents = bins[0] * bins[1];
  const pooled = new Float64Array(batches * agents * channels);
  for (let b = 0; b < batches; b++) {
    for (let agent = 0; agent < agents; agent++) {
      const [top, bottom] = binRange(0, Math.floor(agent / bins[1])) as [number, number];
      const [left, right] = binRange(1, agent % bins[1]) as [number, number];
      for (let c = 0; c < channels; c++) {
        let sum = 0;
        for (let y = top; y < bottom; y++) {
          for (let x = left; x < right; x++) {
            const token = (classToken ? 1 : 0) + y * grid[1] + x;
            sum += data[(b * tokens + token) * channels + c]!;
          }
        }
        pooled[(b * agents + agent) * channels + c] = sum / ((bottom - top) * (right - left));
      }
    }
  }
  return { data: pooled, shape: [batches, agents, heads, dim] };
}

/** Windows of images as batch entries: images first, then windows in row-major order, tokens in row-major order in each. */
export function cutWindows(images: DenseTensor, image: Grid, size: Grid): DenseTensor {
  const [batches, , heads, dim] = images.shape;
  const order = windowTokens(batches, image, size);
  const channels = heads * dim;
  const data = new Float64Array(images.data.length);
  order.forEach((token, place) => {
    for (let c = 0; c < channels; c++) data[place * channels + c] = images.data[token * channels + c]!;
  });
  const area = size[0] * size[1];
  return { data, shape: [order.length / area, area, heads, dim] };
}

/** For each token of each window, in their order, its place among all tokens of the images. */
export function windowTokens(batches: number, image: Grid, size: Grid): number[] {
  const order: number[] = [];
  for (let b = 0; b < batches; b++)
    for (let top = 0; top < image[0]; top += size[0])
      for (let left = 0; left < image[1]; left += size[1])
        for (let y = top; y < top + size[0]; y++)
          for (let x = left; x < left + size[1]; x++) order.push((b * image[0] + y) * image[1] + x);
  return order;
}

function at({ data, shape }: DenseTensor, a: number, b: number, c: number, d: number): number {
  return data[((a * shape[1] + b) * shape[2] + c) * shape[3] + d]!;
}

function atBroadcast(tensor: DenseTensor, index: Shape4): number {
  const [a, b, c, d] = index.map((place, axis) =>
    tensor.shape[axis] === 1 ? 0 : place,
  ) as unknown as Shape4;
  return at(tensor, a, b, c, d);
}
