/**
 * Runs in Deno, where llvmpipe has a fast packed dot product, as a GPU has. Its argument is a `RunnerTask` in JSON; it prints
 * a `SpeedRow` or a `QualityCurve` list as its last line.
 */
import { AttentionContext } from "../../src/index.js";
import { prefix, syntheticHead } from "./inputs.js";
import { languageHead } from "./language-head.js";
import { measureQuality, type QualityCurve } from "./quality.js";
import { measureSpeed, type SpeedRow } from "./speed.js";

export interface RunnerTask {
  /** The project's root. */
  readonly root: string;
  readonly kind: "speed" | "quality";
  readonly input: "synthetic" | "language";
  readonly tokens: number;
  /** One query block in so many is timed densely, and one row in so many of these is checked. */
  readonly each: number;
  readonly rounds: number;
}

export interface RunnerReport {
  readonly adapter: string | null;
  readonly result?: SpeedRow | QualityCurve[];
}

/** The head of the language model whose attention has far keys: others are diffuse (README.md). */
const [LAYER, HEAD] = [2, 7];

const task = JSON.parse(process.argv[2]!) as RunnerTask;
const adapter = await navigator.gpu?.requestAdapter();
let report: RunnerReport = { adapter: null };
if (adapter) {
  const device = await adapter.requestDevice(AttentionContext.requirements(adapter));
  const ctx = await AttentionContext.create(device);
  const { vendor, architecture, description } = adapter.info;
  const head =
    task.input === "synthetic"
      ? syntheticHead(task.tokens)
      : languageHead(task.root, task.tokens, LAYER, HEAD);
  const result =
    task.kind === "speed"
      ? await measureSpeed(ctx, head, prefix(head, Math.min(4096, task.tokens)), task)
      : await measureQuality(ctx, head);
  report = { adapter: description || `${vendor} ${architecture}`, result };
}
console.log(JSON.stringify(report));
process.exit(0);
