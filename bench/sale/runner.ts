/**
 * Runs in Deno, where llvmpipe has a fast packed dot product, as a GPU has. Its argument is a `RunnerTask` in JSON; it prints
 * a `SpeedRow` or a `QualityCurve` list as its last line.
 */
import { AttentionContext } from "../../src/index.js";
import { syntheticHead } from "./inputs.js";
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
  /** Threshold that calibration begins with; default the published one. */
  readonly start?: number;
}

export interface RunnerReport {
  readonly adapter: string | null;
  readonly result?: SpeedRow | QualityCurve[];
}

/** The head of the language model whose attention has far keys: others are diffuse (kernels/sale/README.md). */
const [LAYER, HEAD] = [2, 7];
/** Thresholds are calibrated on other inputs than those that are measured: another seed, a passage far behind. */
const [CALIBRATION_TOKENS, CALIBRATION_SEED, CALIBRATION_PASSAGE] = [4096, 2, 600_000];
/** No page has to stay responsive here, and dispatches of a workgroup each would slow dense attention down. */
const MAX_DISPATCH_MS = 60_000;

const task = JSON.parse(process.argv[2]!) as RunnerTask;
const adapter = await navigator.gpu?.requestAdapter();
let report: RunnerReport = { adapter: null };
if (adapter) {
  const device = await adapter.requestDevice(AttentionContext.requirements(adapter));
  const ctx = await AttentionContext.create(device, { maxDispatchMs: MAX_DISPATCH_MS });
  const { vendor, architecture, description } = adapter.info;
  const language = (tokens: number, first?: number) => languageHead(task.root, tokens, LAYER, HEAD, first);
  const head = task.input === "synthetic" ? syntheticHead(task.tokens) : language(task.tokens);
  const other = () =>
    task.input === "synthetic"
      ? syntheticHead(CALIBRATION_TOKENS, CALIBRATION_SEED)
      : language(CALIBRATION_TOKENS, CALIBRATION_PASSAGE);
  const result =
    task.kind === "speed" ? await measureSpeed(ctx, head, other(), task) : await measureQuality(ctx, head);
  report = { adapter: description || `${vendor} ${architecture}`, result };
}
console.log(JSON.stringify(report));
process.exit(0);
