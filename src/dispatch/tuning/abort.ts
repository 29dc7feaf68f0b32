import { AttentionError, type AttentionErrorDetails } from "../errors.js";

/** What was ended, and what to do then. */
type Ended = Pick<AttentionErrorDetails, "subject" | "fix">;

const TUNING: Ended = {
  subject: "tuning",
  fix: "Nothing was stored. Call again to measure anew, or plan without measuring.",
};

/** @throws AttentionError "aborted" when the signal has fired */
export function throwIfAborted(signal: AbortSignal | undefined, ended = TUNING): void {
  if (signal?.aborted) throw abortedError(signal.reason, ended);
}

export function abortedError(reason: unknown, ended = TUNING): AttentionError {
  return new AttentionError("aborted", {
    ...ended,
    expected: "to finish",
    got: "an AbortSignal that fired",
    cause: reason,
  });
}

/** Settles as `work` does, or rejects with "aborted" as soon as the signal fires; `work` itself goes on. */
export function untilAborted<Result>(
  work: Promise<Result>,
  signal: AbortSignal | undefined,
): Promise<Result> {
  if (!signal) return work;
  return new Promise((resolve, reject) => {
    const end = () => reject(abortedError(signal.reason));
    if (signal.aborted) end();
    signal.addEventListener("abort", end, { once: true });
    work.then(resolve, reject).finally(() => signal.removeEventListener("abort", end));
  });
}
