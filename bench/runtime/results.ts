import type { PassDescription } from "webgpu-attention/transformer";

/** A language model that the bench loads. */
export interface ModelAddress {
  readonly name: string;
  /** Its folder, from the repository's root. */
  readonly folder: string;
  /** A file with token ids and the logits of the last of them, or of all, likewise. */
  readonly expected: string;
}

/** Milliseconds that JavaScript took for each decode step, from the command encoder to the return of `submit`. */
export interface RecordingResult {
  readonly model: string;
  /** Largest difference from PyTorch's logits, relative to the largest of them. */
  readonly error: number;
  readonly samples: readonly number[];
  readonly dispatches: number;
}

/** Milliseconds a token, in turns. */
export interface PositionsResult {
  readonly model: string;
  readonly error: number;
  readonly positions: readonly [near: number, far: number];
  readonly near: readonly number[];
  readonly far: readonly number[];
}

/** A decode step with a cache of some places, as its plans describe it. */
export interface DescribedStep {
  readonly model: string;
  readonly weights: "f32" | "f16" | "q4";
  readonly cache: "f32" | "f16";
  readonly capacity: number;
  readonly pass: PassDescription;
}

/** Milliseconds of each part of loading, a number for each round. */
export interface LoadResult {
  readonly model: string;
  readonly dtype: "stored" | "f32" | "q8" | "q4";
  readonly read: readonly number[];
  readonly convert: readonly number[];
  readonly upload: readonly number[];
}

export interface RuntimeReport {
  /** ISO 8601. */
  readonly date: string;
  readonly adapter: string;
  readonly software: boolean;
  readonly recordings: readonly RecordingResult[];
  readonly positions: PositionsResult;
  readonly steps: readonly DescribedStep[];
  readonly loads: readonly LoadResult[];
}
