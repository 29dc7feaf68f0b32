import type { CompiledPlan } from "../../src/dispatch/compiled-plan.js";
import type { AttentionContext } from "../../src/dispatch/context.js";
import { sumCosts } from "../../src/dispatch/dispatch-budget.js";
import type { Pass } from "../../src/dispatch/pass.js";
import { elementCount, type TensorView } from "../../src/dispatch/tensor-view.js";
import { difference } from "../../test/support/compare.js";
import type { PreparedEntry } from "./mechanism-bench.js";

/** Some of an output's values, by their place in logical order, and what they should be. */
export interface Expected {
  readonly view: TensorView;
  readonly places: ArrayLike<number>;
  readonly values: ArrayLike<number>;
}

/** Anything that records and can be destroyed: a plan and its tensors. */
export interface Recorded {
  readonly passes: readonly Pass[];
  readonly segments: readonly { record(encoder: GPUCommandEncoder): void }[];
  destroy(): void;
}

/** A plan with the tensors that it is run on. */
export function recorded<Tensors>(plan: CompiledPlan<Tensors>, tensors: Tensors): Recorded {
  return {
    passes: plan.passes,
    segments: plan.segments.map((segment) => ({ record: (encoder) => segment.record(encoder, tensors) })),
    destroy: () => plan.destroy(),
  };
}

/**
 * Plans that run one after another, as an entry of the benchmark.
 *
 * @param outputs dense f32, filled with NaN before the check; `expected` is found when it is asked for
 * @param buffers go with the entry
 */
export function planEntry(
  ctx: AttentionContext,
  plans: readonly Recorded[],
  outputs: readonly TensorView[],
  expected: () => readonly Expected[],
  tolerance: number,
  buffers: readonly GPUBuffer[],
): PreparedEntry {
  const { device } = ctx;
  const run = async (): Promise<void> => {
    for (const { segments } of plans) {
      for (const { record } of segments) {
        const encoder = device.createCommandEncoder();
        record(encoder);
        device.queue.submit([encoder.finish()]);
      }
    }
    await device.queue.onSubmittedWorkDone();
  };
  const passes = plans.flatMap((plan) => plan.passes);
  return {
    flops: sumCosts(passes.map(({ cost }) => cost)).flops,
    scratchBytes: scratchBytes(passes),
    run,
    async check() {
      for (const { buffer, shape } of outputs)
        device.queue.writeBuffer(buffer, 0, new Float32Array(elementCount(shape)).fill(Number.NaN));
      await run();
      let error = 0;
      for (const { view, places, values } of expected()) {
        const written = await ctx.read(view);
        const unwritten = written.some(Number.isNaN) ? Number.POSITIVE_INFINITY : 0;
        const actual = Array.from(places, (place) => written[place]!);
        error = Math.max(error, unwritten, difference(actual, values).maxRelative);
      }
      return { error, tolerance };
    },
    destroy() {
      for (const plan of plans) plan.destroy();
      for (const buffer of buffers) buffer.destroy();
    },
  };
}

/** The largest that each slot of scratch has to be. */
function scratchBytes(passes: readonly Pass[]): number {
  const slots = new Map<number, number>();
  for (const source of passes.flatMap(({ bindings }) => Object.values(bindings))) {
    if ("scratch" in source)
      slots.set(source.scratch, Math.max(source.bytes, slots.get(source.scratch) ?? 0));
  }
  return [...slots.values()].reduce((sum, bytes) => sum + bytes, 0);
}
