import { AttentionError } from "webgpu-attention";
import { HttpError } from "./requests.js";

/** @throws AttentionError "aborted" */
export function throwIfAborted(subject: string, signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw abortedError(subject, signal);
}

/** What a failed read of a file becomes: an abort, the typed error that it was, or "format". */
export function unreadable(name: string, cause: unknown, signal?: AbortSignal): AttentionError {
  if (signal?.aborted) return abortedError(name, signal);
  if (cause instanceof AttentionError) return cause;
  return new AttentionError("format", {
    subject: name,
    expected: "a readable file",
    got: `the error "${cause}"`,
    fix: "Check the connection, the address, and that every file of the model lies where it should.",
    cause,
  });
}

/** Whether a file cannot be read because its server refuses access to it. */
export function isRefusal(error: unknown): boolean {
  const cause = error instanceof AttentionError ? error.cause : undefined;
  return cause instanceof HttpError && cause.isRefusal;
}

function abortedError(subject: string, signal: AbortSignal): AttentionError {
  return new AttentionError("aborted", {
    subject,
    expected: "to be read to its end",
    got: "an abort signal",
    fix: "Load it again to start over.",
    cause: signal.reason,
  });
}
