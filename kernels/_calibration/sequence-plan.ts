import { BufferUsage } from "../../src/dispatch/buffer-usage.js";
import type { CompiledPlan, PlanSegment } from "../../src/dispatch/compiled-plan.js";
import type { AttentionContext } from "../../src/dispatch/context.js";
import { sumCosts } from "../../src/dispatch/dispatch-budget.js";
import { bindTensors, type TensorSpec } from "../../src/dispatch/tensor-set.js";
import {
  bytesPerElement,
  extentOf,
  type TensorLayout,
  type TensorView,
} from "../../src/dispatch/tensor-view.js";

export type Views = Readonly<Record<string, TensorView>>;

/** A plan inside another one, with the tensors that it takes of those given. */
export interface PlanStep {
  readonly plan: CompiledPlan<object>;
  readonly tensorsOf: (given: Views) => object;
}

/** What a plan that consists of plans keeps for itself: memory between them, and the plans made so far. */
export class PlanParts {
  readonly steps: PlanStep[] = [];
  readonly #ctx: AttentionContext;
  readonly #held: GPUBuffer[] = [];
  readonly #given: GPUBuffer[] = [];

  constructor(ctx: AttentionContext) {
    this.#ctx = ctx;
  }

  /**
   * Memory that has to survive the passes of other plans, counted in `ctx.memory()`. Whole vec4, which passes may bind it as: an
   * extent ends at the last channel, wherever its row ends.
   */
  hold(layout: TensorLayout): TensorView {
    const bytes = bytesPerElement(layout.dtype) * extentOf(layout).end;
    const buffer = this.#ctx.scratch.hold(16 * Math.ceil(bytes / 16));
    this.#held.push(buffer);
    return { ...layout, buffer };
  }

  /** Numbers that no pass writes. */
  give(words: Uint32Array<ArrayBuffer>): GPUBuffer {
    const usage = BufferUsage.STORAGE | BufferUsage.COPY_DST;
    const { device } = this.#ctx;
    const buffer = device.createBuffer({ label: "webgpu-attention plan", size: words.byteLength, usage });
    device.queue.writeBuffer(buffer, 0, words);
    this.#given.push(buffer);
    return buffer;
  }

  /** Adds a plan that is recorded after those before. */
  async add<Tensors extends object>(
    plan: Promise<CompiledPlan<Tensors>>,
    tensorsOf: (given: Views) => Tensors,
  ): Promise<void> {
    this.steps.push({ plan: (await plan) as unknown as CompiledPlan<object>, tensorsOf });
  }

  destroy(): void {
    for (const { plan } of this.steps) plan.destroy();
    for (const buffer of this.#given) buffer.destroy();
    for (const buffer of this.#held) this.#ctx.scratch.release(buffer);
  }

  /** All of it as one plan. */
  joined<Tensors extends object>(specs: Readonly<Record<string, TensorSpec>>): CompiledPlan<Tensors> {
    const ctx = this.#ctx;
    const checked = (tensors: Tensors): Views => {
      bindTensors(specs, { ...tensors } as Record<string, TensorView | undefined>, ctx.capabilities);
      return { ...tensors } as unknown as Views;
    };
    return {
      passes: this.steps.flatMap(({ plan }) => plan.passes),
      cost: sumCosts(this.steps.map(({ plan }) => plan.cost)),
      record: (encoder, tensors, options) => {
        ctx.assertUsable();
        const given = checked(tensors);
        for (const { plan, tensorsOf } of this.steps) plan.record(encoder, tensorsOf(given), options);
      },
      segments: this.steps.flatMap(({ plan, tensorsOf }) =>
        plan.segments.map(
          ({ passes, cost, record }): PlanSegment<Tensors> => ({
            passes,
            cost,
            record: (encoder, tensors, options) => record(encoder, tensorsOf(checked(tensors)), options),
          }),
        ),
      ),
      destroy: () => this.destroy(),
    };
  }
}
