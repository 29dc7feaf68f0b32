import { type LayerState, rowBytes, turnOf } from "./layer-state.js";
import type { SequenceState } from "./sequence-state.js";

/** Where a sequence is copied from, and to. */
interface Places {
  readonly state: SequenceState;
  readonly entry: number;
  readonly joined: SequenceState;
  readonly index: number;
}

/** Copies what a layer keeps of one sequence. */
export function copyLayer(
  encoder: GPUCommandEncoder,
  from: LayerState,
  to: LayerState,
  places: Places,
): void {
  const { state, entry, joined, index } = places;
  if (from.kind === "cache" && to.kind === "cache") {
    for (const name of ["k", "v"] as const) {
      const row = rowBytes(from[name]);
      const [source, target] = [entry * state.capacity * row, index * joined.capacity * row];
      const bytes = state.lengths[entry]! * row;
      encoder.copyBufferToBuffer(from[name].buffer, source, to[name].buffer, target, bytes);
    }
  } else if (from.kind === "recurrent" && to.kind === "recurrent") {
    // The other turn too: the last pass may have to be undone.
    for (const back of [0, 1] as const) {
      const [source, target] = [from.turns[turnOf(state.turn, back)], to.turns[turnOf(joined.turn, back)]];
      const bytes = 4 * source.shape[1] * source.shape[2] * source.shape[3];
      encoder.copyBufferToBuffer(source.buffer, entry * bytes, target.buffer, index * bytes, bytes);
    }
  }
}
