import type { TensorView } from "webgpu-attention";
import { type LayerContext, normOptions } from "../layer-context.js";

/** What a part of a layer reads, and where it leaves that with its own output added. */
export interface Streams {
  /** [B, T, 1, width] */
  readonly x: TensorView;
  /** Likewise, another buffer. */
  readonly out: TensorView;
  /** Whether a norm comes before. */
  readonly normed: boolean;
  /** Of a diffusion transformer. */
  readonly modulation?: Modulation;
}

/** Adaptive layer norm (adaLN-Zero, arXiv 2212.09748): x + gate · part(norm(x) (1 + scale) + shift). Each [B, 1, 1, width]. */
export interface Modulation {
  readonly shift: TensorView;
  readonly scale: TensorView;
  readonly gate: TensorView;
}

/** How the first product of a part takes the stream: as options of its plan, and as tensors of each run. */
export function takeStream(layer: LayerContext, { x, normed, modulation }: Streams, norm: string) {
  const { scale, shift } = modulation ?? {};
  return {
    options: {
      x,
      ...(normed && { norm: normOptions(layer, norm) }),
      ...(scale && { modulation: { scale, ...(shift && { shift }) } }),
    },
    tensors: { x, ...(scale && { scale }), ...(shift && { shift }) },
  };
}

/** How its last product adds to the stream; what is said of the plan is bound at each run as well. */
export function addToStream({ x: residual, out, modulation }: Streams): {
  readonly residual: TensorView;
  readonly out: TensorView;
  readonly outScale?: TensorView;
} {
  return { residual, out, ...(modulation && { outScale: modulation.gate }) };
}
