import type { Capabilities } from "../../src/dispatch/capabilities.js";
import { checkNumber, fail } from "../../src/dispatch/check.js";
import { broadcastLayout, isVec4 } from "../../src/dispatch/layout.js";
import type { BindingSource } from "../../src/dispatch/pass.js";
import { stridesOf, type TensorLayout, type TensorView } from "../../src/dispatch/tensor-view.js";
import { bindingRange, checkOptions } from "../../src/dispatch/validate.js";
import { checkRows } from "./layouts.js";
import { checkVector } from "./pack-vectors.js";

/** How rows are normalised before they are multiplied. */
export interface NormOptions {
  /** `"rms"` divides by the root mean square (arXiv 1910.07467; SRMSNorm without weight), `"layer"` takes the mean off first. */
  readonly kind: "rms" | "layer";
  /** [1, 1, 1, in], read when planning. Default none, which is 1. */
  readonly weight?: TensorView;
  /** [1, 1, 1, in], read when planning. Default none. */
  readonly bias?: TensorView;
  /** Added to the mean of squares. Default 1e-6. */
  readonly epsilon?: number;
}

/** Factors and summands of normalised rows that change from run to run: adaptive layer norm (DiT, arXiv 2212.09748), gates. */
export interface ModulationLayout {
  /** [1 or B, 1 or T, 1, in] f32: the row is multiplied by offset + scale. */
  readonly scale: TensorLayout;
  /** [1 or B, 1 or T, 1, in] f32, added last. Default none. */
  readonly shift?: TensorLayout;
  /** Default 1, as in adaLN; 0 multiplies by `scale` alone. */
  readonly offset?: number;
}

export interface PrologueProblem {
  /** [B, T, 1, in] f32 */
  readonly x: TensorLayout;
  /** Default none. */
  readonly norm?: NormOptions;
  /** After the norm. Default none. */
  readonly modulation?: ModulationLayout;
}

export interface Prologue {
  readonly x: TensorLayout;
  readonly batches: number;
  readonly tokens: number;
  readonly inner: number;
  readonly norm?: NormOptions;
  readonly epsilon: number;
  /** With stride 0 along axes that are repeated. */
  readonly scale?: TensorLayout;
  readonly shift?: TensorLayout;
  readonly scaleOffset: number;
}

const NORMS = ["rms", "layer"] as const;

/** @throws AttentionError "shape", "dtype", "unsupported", "limit" */
export function checkPrologue({ x, norm, modulation }: PrologueProblem): Prologue {
  const { batches, tokens, dim: inner } = checkRows("x", x);
  if (norm !== undefined) checkNorm(norm, inner);
  if (modulation !== undefined) checkOptions("modulation", modulation, ["scale", "shift", "offset"]);
  const { scale, shift, offset = 1 } = modulation ?? {};
  checkNumber("modulation.offset", offset);
  const full = [batches, tokens, 1, inner] as const;
  const axes = "Modulations have the axes [batch, tokens, 1, channels].";
  if (modulation && !scale) fail("shape", "modulation.scale", "a tensor", scale, axes);
  return {
    x,
    batches,
    tokens,
    inner,
    ...(norm && { norm }),
    epsilon: norm?.epsilon ?? 1e-6,
    ...(scale && { scale: broadcastLayout("modulation.scale", scale, full, axes) }),
    ...(shift && { shift: broadcastLayout("modulation.shift", shift, full, axes) }),
    scaleOffset: offset,
  };
}

function checkNorm(norm: NormOptions, inner: number): void {
  checkOptions("norm", norm, ["kind", "weight", "bias", "epsilon"]);
  const { kind, weight, bias, epsilon = 1e-6 } = norm;
  if (!NORMS.includes(kind))
    fail("unsupported", "norm.kind", NORMS.join(", "), kind, "Leave `norm` out for none.");
  if (weight) checkVector("norm.weight", weight, inner);
  if (bias) checkVector("norm.bias", bias, inner);
  checkNumber("norm.epsilon", epsilon);
  if (epsilon < 0) fail("shape", "norm.epsilon", "a number of at least 0", epsilon, "Leave it out for 1e-6.");
}

/** Whether x and its modulations can be read four channels at a time. */
export function readsFours({ x, scale, shift }: Prologue, capabilities: Capabilities): boolean {
  return [x, scale, shift].every((layout) => !layout || isVec4(layout, capabilities));
}

/** What every kernel that reads x through `product_io.wgsl` is told. */
export function prologueConstants({ norm, scale, shift }: Prologue): Record<string, number | boolean> {
  return {
    NORM: norm ? NORMS.indexOf(norm.kind) + 1 : 0,
    HAS_NORM_WEIGHT: norm?.weight !== undefined,
    HAS_NORM_BIAS: norm?.bias !== undefined,
    HAS_SCALE: scale !== undefined,
    HAS_SHIFT: shift !== undefined,
  };
}

export function prologueBindings({ scale, shift }: Prologue): Record<"x" | "scale" | "shift", BindingSource> {
  return {
    x: { tensor: "x" },
    scale: scale ? { tensor: "scale" } : { unused: true },
    shift: shift ? { tensor: "shift" } : { unused: true },
  };
}

/** @param bases of the packed vectors `normWeight` and `normBias` */
export function prologueUniforms(
  { x, scale, shift, batches, tokens, inner, epsilon, scaleOffset }: Prologue,
  bases: Readonly<Record<string, number>>,
  capabilities: Capabilities,
): Record<string, number | readonly number[]> {
  return {
    ...viewUniforms({ x, scale, shift }, capabilities),
    base_norm_weight: bases.normWeight ?? 0,
    base_norm_bias: bases.normBias ?? 0,
    tokens,
    rows: batches * tokens,
    inner,
    epsilon,
    scale_offset: scaleOffset,
  };
}

/** `strides_NAME` and `base_NAME`, zeros for what there is not. */
export function viewUniforms(
  layouts: Readonly<Record<string, TensorLayout | undefined>>,
  capabilities: Capabilities,
): Record<string, number | readonly number[]> {
  return Object.fromEntries(
    Object.entries(layouts).flatMap(([name, layout]) => [
      [`strides_${name}`, layout ? stridesOf(layout) : [0, 0, 0, 0]],
      [`base_${name}`, layout ? bindingRange(layout, capabilities).base : 0],
    ]),
  );
}
