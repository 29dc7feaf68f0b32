import { AttentionError } from "../errors.js";
import type { GpuTime } from "./clear-time.js";

/** A candidate, compiled and ready to run on the proxy problem. */
export interface PreparedCandidate {
  /** Runs it `times` over, waits, and gives the time that all of it took. */
  run(times: number): Promise<GpuTime>;
  /** Runs it once into memory that holds no results, and says what is wrong with them, if anything. */
  check(): Promise<{ readonly time: GpuTime; readonly wrong?: string }>;
  destroy(): void;
}

export interface MeasureOptions<Candidate> {
  /** Most promising first: where the budget is short, the last ones go unmeasured. */
  readonly candidates: readonly Candidate[];
  readonly name: (candidate: Candidate) => string;
  /** Compiles a candidate; may reject, which drops it. */
  readonly prepare: (candidate: Candidate) => Promise<PreparedCandidate>;
  /** Milliseconds on the GPU, checks included, compilation not. */
  readonly budgetMs: number;
  readonly signal?: AbortSignal | undefined;
  /** What it throws ends the measurement. */
  readonly onProgress?: ((progress: TuningProgress) => void) | undefined;
}

export interface TuningProgress {
  readonly phase: "compile" | "check" | "time";
  /** What the phase has done, of how much; in the phase "time" in milliseconds of the budget. */
  readonly done: number;
  readonly total: number;
  /** The candidate at hand. */
  readonly candidate: string;
}

export interface DroppedCandidate<Candidate> {
  readonly candidate: Candidate;
  readonly name: string;
  /** The compiler's or driver's words, or by how much it was wrong. */
  readonly reason: string;
}

export interface CompiledCandidate<Candidate> {
  readonly candidate: Candidate;
  readonly name: string;
  readonly prepared: PreparedCandidate;
}

/**
 * Why a candidate is dropped, in words.
 *
 * @throws the error itself where it is not the candidate's: no other would fare better
 */
export function reasonOf(error: unknown): string {
  if (error instanceof AttentionError && ["device-lost", "disposed", "aborted"].includes(error.code))
    throw error;
  return error instanceof Error ? error.message : String(error);
}
