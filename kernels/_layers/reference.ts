import type { Activation } from "./activations.js";

/** A matrix [rows, columns], row-major. Batch and token axes are one here: no layer but the pool tells them apart. */
export interface Matrix {
  readonly data: ArrayLike<number>;
  readonly rows: number;
  readonly columns: number;
}

export function layerNormReference(
  x: Matrix,
  scale: ArrayLike<number>,
  bias: ArrayLike<number>,
  epsilon: number,
): Float64Array {
  return eachRow(x, (row) => {
    const mean = sum(row) / row.length;
    const variance = sum(row.map((value) => (value - mean) ** 2)) / row.length;
    return row.map((value, c) => (scale[c]! * (value - mean)) / Math.sqrt(variance + epsilon) + bias[c]!);
  });
}

export function l2NormalizeReference(x: Matrix, epsilon: number): Float64Array {
  return eachRow(x, (row) => {
    const squares = sum(row.map((value) => value * value));
    return row.map((value) => value / Math.sqrt(Math.max(squares, epsilon)));
  });
}

export const ACTIVATION_FUNCTIONS: Readonly<Record<Activation, (x: number) => number>> = {
  none: (x) => x,
  relu: (x) => Math.max(x, 0),
  tanh: Math.tanh,
  gelu: (x) => 0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3))),
  "gelu-erf": (x) => 0.5 * x * (1 + errorFunction(x / Math.SQRT2)),
  silu: (x) => x / (1 + Math.exp(-x)),
  sigmoid: (x) => 1 / (1 + Math.exp(-x)),
};

/** Of the series 2 / sqrt(pi) e^(-x²) sum of 2^n x^(2n+1) / (2n+1)!!, whose terms all have one sign; from 6 on it is 1 in float64. */
function errorFunction(x: number): number {
  if (Math.abs(x) > 6) return Math.sign(x);
  let [term, sum] = [x, 0];
  for (let n = 1; Math.abs(term) > 1e-18 * Math.abs(sum); n++) {
    sum += term;
    term *= (2 * x * x) / (2 * n + 1);
  }
  return ((2 / Math.sqrt(Math.PI)) * sum) / Math.exp(x * x);
}

/** scale x / sqrt(mean of x² + epsilon); no scale is 1. */
export function rmsNormReference(x: Matrix, epsilon: number, scale?: ArrayLike<number>): Float64Array {
  return eachRow(x, (row) => {
    const root = Math.sqrt(sum(row.map((value) => value * value)) / row.length + epsilon);
    return row.map((value, c) => ((scale?.[c] ?? 1) * value) / root);
  });
}

/** x activation(gate), element by element. */
export function gateReference(
  x: ArrayLike<number>,
  gate: ArrayLike<number>,
  activation: Activation,
): Float64Array {
  return Float64Array.from(
    { length: x.length },
    (_, n) => x[n]! * ACTIVATION_FUNCTIONS[activation](gate[n]!),
  );
}

/** [x cos, x sin] of position times theta^(-2c / C), with c counted through all heads. x dense [B, T, H, D]. */
export function lrpeReference(
  x: ArrayLike<number>,
  [, tokens, heads, dim]: readonly [number, number, number, number],
  theta: number,
  firstPosition: number,
): Float64Array {
  const out = new Float64Array(2 * x.length);
  for (let n = 0; n < x.length; n++) {
    const [c, d] = [n % (heads * dim), n % dim];
    const position = firstPosition + (Math.floor(n / (heads * dim)) % tokens);
    const angle = position * theta ** ((-2 * c) / (heads * dim));
    out[2 * (n - d) + d] = x[n]! * Math.cos(angle);
    out[2 * (n - d) + dim + d] = x[n]! * Math.sin(angle);
  }
  return out;
}

/** activation(x W + bias) + residual. `weight` is [in, out]. */
export function linearReference(
  x: Matrix,
  weight: Matrix,
  options: {
    readonly bias?: ArrayLike<number>;
    readonly residual?: ArrayLike<number>;
    readonly activation?: Activation;
  } = {},
): Float64Array {
  const { bias, residual, activation = "none" } = options;
  const out = new Float64Array(x.rows * weight.columns);
  for (let r = 0; r < x.rows; r++) {
    for (let o = 0; o < weight.columns; o++) {
      let product = bias?.[o] ?? 0;
      for (let i = 0; i < x.columns; i++) {
        product += x.data[r * x.columns + i]! * weight.data[i * weight.columns + o]!;
      }
      const place = r * weight.columns + o;
      out[place] = ACTIVATION_FUNCTIONS[activation](product) + (residual?.[place] ?? 0);
    }
  }
  return out;
}

/** Mean over the first lengths[b] of the `x.rows / lengths.length` tokens of each batch entry. [batch, dim] */
export function meanPoolReference(x: Matrix, lengths: ArrayLike<number>): Float64Array {
  const tokens = x.rows / lengths.length;
  const out = new Float64Array(lengths.length * x.columns);
  for (let b = 0; b < lengths.length; b++) {
    for (let t = 0; t < lengths[b]!; t++) {
      for (let c = 0; c < x.columns; c++) {
        out[b * x.columns + c]! += x.data[(b * tokens + t) * x.columns + c]! / lengths[b]!;
      }
    }
  }
  return out;
}

function eachRow({ data, rows, columns }: Matrix, map: (row: Float64Array) => Float64Array): Float64Array {
  const out = new Float64Array(rows * columns);
  const all = Float64Array.from(data);
  for (let r = 0; r < rows; r++) out.set(map(all.subarray(r * columns, (r + 1) * columns)), r * columns);
  return out;
}

function sum(values: Float64Array): number {
  return values.reduce((total, value) => total + value, 0);
}

/** Pairs of channels turned by position times their frequency; row t stands at position t. x dense [B, T, H, D]. */
export function ropeReference(
  x: ArrayLike<number>,
  [, tokens, heads, dim]: readonly [number, number, number, number],
  { frequencies, interleaved }: { readonly frequencies: readonly number[]; readonly interleaved: boolean },
): Float64Array {
  const out = Float64Array.from(x);
  const pairs = frequencies.length;
  for (let row = 0; row < x.length / dim; row++) {
    const position = Math.floor(row / heads) % tokens;
    for (const [pair, frequency] of frequencies.entries()) {
      const [a, b] = interleaved ? [2 * pair, 2 * pair + 1] : [pair, pair + pairs];
      const [u, v] = [x[row * dim + a]!, x[row * dim + b]!];
      const [cos, sin] = [Math.cos(position * frequency), Math.sin(position * frequency)];
      out[row * dim + a] = u * cos - v * sin;
      out[row * dim + b] = u * sin + v * cos;
    }
  }
  return out;
}
