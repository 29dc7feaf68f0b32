/**
 * What a mechanism tells `npm run bench:mechanisms` about itself. The benchmark finds `kernels/<mechanism>/bench.ts` by itself and
 * takes its default export. Never part of the package.
 */
import type { AttentionContext } from "../../src/dispatch/context.js";

export interface MechanismBench {
  readonly rows: readonly BenchRow[];
}

/** Entries that take turns in the same rounds and are held against the first of them. */
export interface BenchRow {
  readonly name: string;
  /** By time per row, which should stay the same; or by time, as a speedup. */
  readonly compare: "time per row" | "speedup";
  readonly entries: readonly BenchEntry[];
}

export interface BenchEntry {
  readonly name: string;
  /** Rows that a run puts out: tokens of all heads. */
  readonly rows: number;
  /** Uploads inputs and compiles. The caller destroys what it gets. */
  prepare(ctx: AttentionContext): Promise<PreparedEntry>;
}

export interface PreparedEntry {
  /** Operations of the products of one run. */
  readonly flops: number;
  /** Memory that the passes hand to each other. */
  readonly scratchBytes: number;
  /** Computes once; resolves when the GPU has finished. */
  run(): Promise<void>;
  /** Fills the outputs with NaN, runs once, and compares with the float64 reference, relative to its largest value. */
  check(): Promise<{ readonly error: number; readonly tolerance: number }>;
  destroy(): void;
}
