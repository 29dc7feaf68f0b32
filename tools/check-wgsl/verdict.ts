import type { KernelText } from "./kernel-texts.js";

/** What a compiler says about one text. */
export interface Verdict {
  readonly status: "passed" | "failed" | "skipped";
  readonly message?: string;
}

/** A WGSL compiler; one verdict a text, in order. */
export type WgslCompiler = (texts: readonly KernelText[]) => Promise<Verdict[]>;
