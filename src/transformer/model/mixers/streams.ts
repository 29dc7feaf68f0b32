import type { TensorView } from "webgpu-attention";

/** What a part of a layer reads, and where it leaves that with its own output added. */
export interface Streams {
  /** [B, T, 1, width] */
  readonly x: TensorView;
  /** Likewise, another buffer. */
  readonly out: TensorView;
  /** Whether a norm comes before. */
  readonly normed: boolean;
}
