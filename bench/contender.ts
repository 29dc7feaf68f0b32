import type { SoftmaxCaseInputs } from "../kernels/softmax/case-inputs.js";
import type { SoftmaxCase } from "../kernels/softmax/cases.js";

/** Other libraries, by the names that `--against` takes. */
export const PEERS = ["onnxruntime-web", "jax-js"] as const;

export type PeerName = (typeof PEERS)[number];
/** How our context chooses configurations (see `AttentionContext.create`), or both ways beside every published configuration. */
export const TUNING_KINDS = ["table", "measure", "sweep"] as const;
export type TuningKind = (typeof TUNING_KINDS)[number];
export type ContenderName = "ours" | PeerName;

/** Largest error that a peer may have and still count as right, relative to the largest value of the reference. */
export const PEER_TOLERANCE = 1e-4;

/** What every contender computes, from the same numbers. */
export interface BenchInputs {
  readonly problem: SoftmaxCase;
  /** Dense [B, T, H, D]. */
  readonly data: Pick<SoftmaxCaseInputs, "q" | "k" | "v">;
}

/** A library on a device of its own, started. */
export interface Contender {
  /** Largest error that is right, relative to the largest value of the reference. */
  readonly tolerance: number;
  /** The ways in which the library can be asked for this problem; none where it cannot. */
  calls(inputs: BenchInputs): readonly CallFactory[];
}

export interface CallFactory {
  /** The operator or function that is called. */
  readonly label: string;
  /** Puts the inputs on the GPU. Where compiling can be done ahead it is done here, otherwise in the first `run`. */
  prepare(): Promise<Call>;
}

/** One way of computing one problem. Inputs and output stay on the GPU. */
export interface Call {
  /** Computes once; resolves when the GPU has finished. */
  run(): Promise<void>;
  /** Overwrites the output with NaN, where the caller owns it: an element that `run` leaves out then shows. */
  poison?(): void;
  /** What the last `run` wrote, dense [B, Tq, Hq, Dv]. */
  read(): Promise<Float32Array>;
  destroy(): void;
}
