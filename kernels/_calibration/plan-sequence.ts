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

/** A plan of a sequence, and which tensors it takes of those given. */
interface PlanStep {
  readonly plan: CompiledPlan<object>;
  readonly tensorsOf: (given: Views) => object;
}

/** Plans that are recorded one after another as one plan, and the memory that they hand to each other. */
export class PlanSequence {
  readonly #ctx: AttentionContext;
  readonly #steps: PlanStep[] = [];
  readonly #held: GPUBuffer[] = [];

  constructor(ctx: AttentionContext) {
    this.#ctx = ctx;
  }

  /** How many plans there are so far. */
  get length(): number {
    return this.#steps.length;
  }

  /**
   * Memory that has to survive the passes of other plans, counted in `ctx.memory()`; the sequence's, until `destroy()`. Whole vec4, which
   * passes may bind it as: an extent ends at the last channel, wherever its row ends.
   *
   * @throws AttentionError "limit"
   */
  hold(layout: TensorLayout): TensorView {
    const bytes = bytesPerElement(layout.dtype) * extentOf(layout).end;
    const buffer = this.#ctx.scratch.hold(16 * Math.ceil(bytes / 16));
    this.#held.push(buffer);
    return { ...layout, buffer };
  }

  /**
   * Numbers that no pass writes, likewise.
   *
   * @throws AttentionError "limit"
   */
  give(words: Uint32Array<ArrayBuffer>): GPUBuffer {
    const buffer = this.#ctx.scratch.holdData(words);
    this.#held.push(buffer);
    return buffer;
  }

  /**
   * Adds a plan, which is the sequence's from now on.
   *
   * @param tensorsOf what it takes of the tensors that `record` is given
   * @param place default behind all others
   */
  async add<Tensors extends object>(
    plan: Promise<CompiledPlan<Tensors>> | CompiledPlan<Tensors>,
    tensorsOf: (given: Views) => Tensors,
    place = this.#steps.length,
  ): Promise<void> {
    const step = { plan: (await plan) as unknown as CompiledPlan<object>, tensorsOf };
    this.#steps.splice(place, 0, step);
  }

  /** Destroys its plans and what it holds. */
  destroy(): void {
    for (const { plan } of this.#steps) plan.destroy();
    for (const buffer of this.#held) this.#ctx.scratch.release(buffer);
  }

  /**
   * All of it as one plan. Tensors are checked before anything is recorded.
   *
   * @param specs the tensors of `record`, by name
   */
  joined<Tensors extends object>(specs: Readonly<Record<string, TensorSpec>>): CompiledPlan<Tensors> {
    const ctx = this.#ctx;
    const steps = this.#steps;
    const checked = (tensors: Tensors): Views => {
      bindTensors(specs, { ...tensors } as Record<string, TensorView | undefined>, ctx.capabilities);
      return { ...tensors } as unknown as Views;
    };
    return {
      passes: steps.flatMap(({ plan }) => plan.passes),
      cost: sumCosts(steps.map(({ plan }) => plan.cost)),
      record: (encoder, tensors, options) => {
        ctx.assertUsable();
        const given = checked(tensors);
        for (const { plan, tensorsOf } of steps) plan.record(encoder, tensorsOf(given), options);
      },
      segments: steps.flatMap(({ plan, tensorsOf }) =>
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
