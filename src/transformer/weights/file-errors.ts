import { AttentionError } from "webgpu-attention";

/** A file of weights that is not what its format demands. */
export function damaged(subject: string, expected: string, got: string, cause?: unknown): AttentionError {
  return new AttentionError("format", {
    subject,
    expected,
    got,
    fix: "The file is damaged or not of this format; download or convert it again.",
    cause,
  });
}
