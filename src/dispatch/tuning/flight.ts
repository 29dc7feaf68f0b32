import { abortedError } from "./abort.js";
import type { TuningProgress } from "./candidate.js";

/** What a caller of a measurement may give. */
export interface TuningCaller {
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((progress: TuningProgress) => void) | undefined;
}

/**
 * A measurement that several callers wait for. Each has its own signal and hears of the progress; a signal rejects its caller's
 * promise alone and at once, and the measurement ends only when the last caller has left.
 */
export class Flight<Result> {
  readonly #abort = new AbortController();
  readonly #callers = new Set<(progress: TuningProgress) => void>();
  /** Settles as the measurement does, cleaned up. */
  readonly ended: Promise<Result>;

  constructor(measure: (joint: TuningCaller) => Promise<Result>) {
    const onProgress = (progress: TuningProgress) => {
      for (const report of [...this.#callers]) report(progress);
    };
    this.ended = measure({ signal: this.#abort.signal, onProgress });
  }

  /** Whether all callers have left, so that it ends without a result. */
  get abandoned(): boolean {
    return this.#abort.signal.aborted;
  }

  join({ signal, onProgress }: TuningCaller): Promise<Result> {
    return new Promise((resolve, reject) => {
      const leave = (error: unknown) => {
        this.#callers.delete(report);
        reject(error);
        if (this.#callers.size === 0) this.#abort.abort(error);
      };
      // A callback that throws ends its own caller's wait, nobody else's.
      const report = (progress: TuningProgress) => {
        try {
          onProgress?.(progress);
        } catch (error) {
          leave(error);
        }
      };
      const end = () => leave(abortedError(signal?.reason));
      this.#callers.add(report);
      signal?.addEventListener("abort", end, { once: true });
      this.ended.then(resolve, reject).finally(() => signal?.removeEventListener("abort", end));
      if (signal?.aborted) end();
    });
  }
}
