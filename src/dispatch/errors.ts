/**
 * What went wrong, as a value a program can switch on.
 *
 * - `shape`: sizes, strides, offsets or option values that do not fit together
 * - `dtype`: an element type that this operation does not take
 * - `unsupported`: a combination that has no meaning or no kernel here
 * - `limit`: more than this device allows
 * - `compile`: the driver refused a kernel (or a user's WGSL)
 * - `disposed`: the context, plan or buffer was destroyed
 * - `device-lost`: the GPU device is gone; make a new device and a new context
 * - `format`: a file that is not what it claims to be
 * - `aborted`: the caller's `AbortSignal` fired
 */
export type AttentionErrorCode =
  | "shape"
  | "dtype"
  | "unsupported"
  | "limit"
  | "compile"
  | "disposed"
  | "device-lost"
  | "format"
  | "aborted";

/** What an error message must always say. */
export interface AttentionErrorDetails {
  /** Which argument, in the caller's words: `"k.shape[3]"`. */
  readonly subject: string;
  /** What would have been right. */
  readonly expected: string;
  /** What came instead. */
  readonly got: string;
  /** What to do about it. */
  readonly fix: string;
  readonly cause?: unknown;
}

/** The only error class this library throws on purpose. The message names subject, expected, got and fix. */
export class AttentionError extends Error {
  override readonly name = "AttentionError";
  readonly code: AttentionErrorCode;
  readonly details: AttentionErrorDetails;

  constructor(code: AttentionErrorCode, details: AttentionErrorDetails) {
    const { subject, expected, got, fix, cause } = details;
    super(
      `${subject}: expected ${expected}, got ${got}. ${fix}`,
      cause === undefined ? undefined : { cause },
    );
    this.code = code;
    this.details = details;
  }
}
