import type { TensorView } from "webgpu-attention";
import { planGate } from "webgpu-attention/layers";
import { announce, isListening } from "../announce.js";
import { type LayerContext, rows } from "../layer-context.js";
import { planSteps, type Step, stepOf } from "../step.js";
import { addToStream, type Streams } from "./streams.js";

/** Where a mixer's last product writes. */
export interface OutputTarget {
  readonly out: TensorView;
  readonly residual?: TensorView;
  readonly outScale?: TensorView;
}

/**
 * The last product of a mixer, which adds to the stream by itself; in two steps where a hook wants to see or change what attention gives.
 *
 * @param product plans it for a target
 */
export async function planOutput(
  layer: LayerContext,
  streams: Streams,
  product: (target: OutputTarget) => Promise<Step>,
): Promise<Step[]> {
  if (!isListening(layer)) return [await product(addToStream(streams))];
  const output = rows(layer, "attention output", layer.config.width);
  return planSteps([product({ out: output }), planAnnounced(layer, streams, output)]);
}

/** Tells of a mixer's output, then adds it to the stream. */
export async function planAnnounced(layer: LayerContext, streams: Streams, x: TensorView): Promise<Step[]> {
  const { residual, out, outScale: gate } = addToStream(streams);
  const tensors = { x, residual, out, ...(gate && { gate }) };
  const plan = await planGate(layer.ctx, tensors);
  return [...announce(layer, "attentionOutput", x), stepOf(plan, tensors)];
}
