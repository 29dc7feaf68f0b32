import type { AttentionContext } from "webgpu-attention";
import type { CaseBuffers } from "./case-buffers.js";
import type { VerifyCase } from "./verify-case.js";

/** An output and what it should have been, in the same order. */
export interface ComparedOutput {
  readonly name: string;
  readonly actual: ArrayLike<number>;
  readonly expected: ArrayLike<number>;
  /** Largest allowed error, relative to the largest finite expected value. */
  readonly tolerance: number;
}

/**
 * Runs one case through the public API. The default export of `mechanisms/NAME.ts`; NAME is the `mechanism` that case
 * files carry. An AttentionError "unsupported" means that the case asks for something that is not built: it is skipped.
 */
export type Mechanism = (
  ctx: AttentionContext,
  testCase: VerifyCase,
  buffers: CaseBuffers,
) => Promise<readonly ComparedOutput[]>;
