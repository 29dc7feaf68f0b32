import type { Activation } from "./activations.js";
import { ACTIVATION_FUNCTIONS, layerNormReference, type Matrix, rmsNormReference } from "./reference.js";

export interface MatmulReferenceOptions {
  readonly norm?: {
    readonly kind: "rms" | "layer";
    readonly weight?: ArrayLike<number>;
    readonly bias?: ArrayLike<number>;
    readonly epsilon: number;
  };
  /** [rows, in] each */
  readonly modulation?: {
    readonly scale: ArrayLike<number>;
    readonly shift?: ArrayLike<number>;
    readonly offset: number;
  };
  readonly bias?: ArrayLike<number>;
  readonly activation?: Activation;
  readonly activated?: number;
  readonly gated?: boolean;
  /** [rows, out] */
  readonly outScale?: ArrayLike<number>;
  readonly residual?: ArrayLike<number>;
}

/** What `planMatmul` computes, in float64. `weight` is [out, in]. Returns [rows, out]. */
export function matmulReference(
  x: Matrix,
  weight: Matrix,
  options: MatmulReferenceOptions = {},
): Float64Array {
  const { bias, activation = "none", gated = false, outScale, residual } = options;
  const input = prologueReference(x, options);
  const product = (row: number, output: number) => {
    let sum = bias?.[output] ?? 0;
    for (let c = 0; c < x.columns; c++)
      sum += input[row * x.columns + c]! * weight.data[output * x.columns + c]!;
    return sum;
  };
  const outputs = gated ? weight.rows / 2 : weight.rows;
  const { activated = outputs } = options;
  return Float64Array.from({ length: x.rows * outputs }, (_, n) => {
    const [row, output] = [Math.floor(n / outputs), n % outputs];
    let sum = product(row, output);
    if (output < activated) sum = ACTIVATION_FUNCTIONS[activation](sum);
    if (gated) sum *= product(row, output + outputs);
    return sum * (outScale?.[n] ?? 1) + (residual?.[n] ?? 0);
  });
}

/** Normalised and modulated rows. */
function prologueReference(x: Matrix, { norm, modulation }: MatmulReferenceOptions): Float64Array {
  const normal = normReference(x, norm);
  if (!modulation) return normal;
  const { scale, shift, offset } = modulation;
  return normal.map((value, n) => value * (offset + scale[n]!) + (shift?.[n] ?? 0));
}

function normReference(x: Matrix, norm: MatmulReferenceOptions["norm"]): Float64Array {
  if (!norm) return Float64Array.from(x.data);
  const ones = new Float64Array(x.columns).fill(1);
  const { kind, weight = ones, bias = new Float64Array(x.columns), epsilon } = norm;
  if (kind === "layer") return layerNormReference(x, weight, bias, epsilon);
  return rmsNormReference(x, epsilon, weight).map((value, n) => value + bias[n % x.columns]!);
}
