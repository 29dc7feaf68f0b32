import { type AttentionContext, AttentionError, type Pass, type PassCost } from "webgpu-attention";
import type {
  PlaygroundMechanism,
  PlaygroundTask,
  PreparedRun,
  Values,
  Variant,
  Verification,
  WeightsPicture,
} from "../../kernels/_playground/mechanism.js";
import { type Measurement, measure, runOnce } from "./measure.js";

export interface RunReport {
  /** The variant in words. */
  readonly choice: string;
  readonly verification: Verification;
  readonly passed: boolean;
  /** Nothing that is wrong is timed. */
  readonly measurement?: Measurement;
  readonly passes: readonly Pass[];
  readonly cost: PassCost;
  readonly segments: number;
  /** Scratch that these passes need, and that the context holds for all runs so far. */
  readonly scratchBytes: number;
  readonly heldBytes: number;
  /** Whether the adapter computes on the processor. */
  readonly software: boolean;
  readonly weights?: WeightsPicture;
}

/** Compiles, runs, compares, times. @throws AttentionError, or the signal's reason */
export async function runProblem(
  ctx: AttentionContext,
  mechanism: PlaygroundMechanism,
  { values, variant }: { readonly values: Values; readonly variant: Variant },
  task: PlaygroundTask,
): Promise<RunReport> {
  const { signal, onPhase } = task;
  onPhase("Preparing inputs and compiling");
  await painted();
  const prepared = await checkedByDriver(ctx, () => mechanism.prepare(ctx, values, variant, task));
  try {
    const progressOf = (phase: string) => ({
      signal,
      onProgress: (done: number, total: number) =>
        total > 1 ? onPhase(`${phase}: part ${done + 1} of ${total}`, done, total) : onPhase(phase),
    });
    const first = await checkedByDriver(ctx, () => runOnce(ctx, prepared, progressOf("Running")));
    onPhase("Comparing with float64");
    await painted();
    const verification = await prepared.verify(signal);
    const passed = verification.outputs.every(({ error, tolerance }) => error <= tolerance);
    const measurement = passed && (await measure(ctx, prepared, first.wall, progressOf("Timing")));
    onPhase("Drawing the weights");
    const weights = await prepared.weights?.(signal);
    return report(ctx, prepared, {
      choice: prepared.choice ?? variant.label,
      verification,
      passed,
      ...(measurement && { measurement }),
      ...(weights && { weights }),
    });
  } finally {
    prepared.destroy();
  }
}

function report(
  ctx: AttentionContext,
  { passes, cost, segments }: PreparedRun,
  found: Pick<RunReport, "choice" | "verification" | "passed" | "measurement" | "weights">,
): RunReport {
  return {
    ...found,
    passes,
    cost,
    segments: segments.length,
    scratchBytes: scratchOf(passes),
    heldBytes: ctx.memory().scratchBytes,
    software: ctx.capabilities.software,
  };
}

/** Each slot as large as its largest use. */
function scratchOf(passes: readonly Pass[]): number {
  const slots = new Map<number, number>();
  for (const source of passes.flatMap(({ bindings }) => Object.values(bindings))) {
    if ("scratch" in source)
      slots.set(source.scratch, Math.max(slots.get(source.scratch) ?? 0, source.bytes));
  }
  return [...slots.values()].reduce((sum, bytes) => sum + bytes, 0);
}

/** What only the driver knows, as an error: it would otherwise be a result full of NaN. */
async function checkedByDriver<T>(ctx: AttentionContext, work: () => Promise<T>): Promise<T> {
  const { device } = ctx;
  device.pushErrorScope("out-of-memory");
  device.pushErrorScope("validation");
  const result = await work().then(
    (value) => ({ value }),
    (error: unknown) => ({ error }),
  );
  const scopes = Promise.all([device.popErrorScope(), device.popErrorScope()]);
  const [validation, memory] = await scopes.catch(() => [null, null] as const);
  if ("error" in result) throw result.error;
  if (validation === null && memory === null) return result.value;
  throw new AttentionError(validation ? "unsupported" : "limit", {
    subject: "the driver",
    expected: validation ? "a valid command" : "enough GPU memory",
    got: (validation ?? memory)!.message,
    fix: validation
      ? "This is a fault of the library or the driver: please report it."
      : "Take a smaller problem.",
  });
}

/** Resolves when the page has shown what was written to it. */
function painted(): Promise<void> {
  return new Promise((resolve) => {
    // Hidden pages get no animation frames.
    const timer = setTimeout(resolve, 100);
    requestAnimationFrame(() =>
      setTimeout(() => {
        clearTimeout(timer);
        resolve();
      }),
    );
  });
}
