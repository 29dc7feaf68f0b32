import type { TensorView } from "webgpu-attention";
import { rowBytes } from "./layer-state.js";

interface Drop {
  readonly entry: number;
  /** Rows at the beginning that stay. */
  readonly kept: number;
  /** How many rows behind them go. */
  readonly count: number;
  /** Rows there are. */
  readonly length: number;
}

/** Drops rows of one sequence of a cache and closes the gap, through `room`: a buffer cannot be copied within itself. */
export function dropRows(
  encoder: GPUCommandEncoder,
  view: TensorView,
  room: GPUBuffer,
  { entry, kept, count, length }: Drop,
): void {
  const row = rowBytes(view);
  const begin = (entry * view.shape[1] + kept) * row;
  const moved = (length - kept - count) * row;
  if (count <= 0 || moved <= 0) return;
  encoder.copyBufferToBuffer(view.buffer, begin + count * row, room, 0, moved);
  encoder.copyBufferToBuffer(room, 0, view.buffer, begin, moved);
}
