import type { AttentionContext, TensorLayout, TensorView } from "webgpu-attention";
import {
  type CompiledPlan,
  type PlanSegment,
  rowTermsLayout,
  type SinkLists,
} from "webgpu-attention/calibration";
import type { SoftmaxProblem, SoftmaxTensors } from "webgpu-attention/softmax";
import { byHead } from "../attend-once.js";
import { fail } from "../check.js";
import { planTotals } from "../plan-totals.js";
import type { IntervenedPlan, IntervenedTensors } from "./intervened-attention.js";

export type Views = Readonly<Record<string, TensorView | undefined>>;

interface Stage {
  readonly plan: CompiledPlan<object>;
  readonly tensorsOf: (views: Views) => object;
}

/** Plans that are recorded one after another, with memory of their own between them. */
export class StagedPlan {
  readonly ctx: AttentionContext;
  /** Whether the caller gives a tensor for the log-sum-exp. */
  readonly hasLse: boolean;
  /** Of the shifts, once they are planned. */
  sinks: SinkLists | undefined;
  readonly #names: readonly string[];
  readonly #attention: SoftmaxProblem;
  readonly #stages: Stage[] = [];
  readonly #held: TensorView[] = [];
  #lse: TensorView | undefined;

  /** @param names of the tensors that the caller gives */
  constructor(ctx: AttentionContext, attention: SoftmaxProblem, names: readonly string[]) {
    this.ctx = ctx;
    this.#attention = attention;
    this.hasLse = names.includes("lse");
    this.#names = names;
  }

  async add<Tensors extends object>(
    plan: Promise<CompiledPlan<Tensors>>,
    tensorsOf: (views: Views) => Tensors,
  ): Promise<void> {
    this.#stages.push({ plan: (await plan) as unknown as CompiledPlan<object>, tensorsOf });
  }

  /** As `add`, recorded before all others. */
  async addFirst<Tensors extends object>(
    plan: Promise<CompiledPlan<Tensors>>,
    tensorsOf: (views: Views) => Tensors,
  ): Promise<void> {
    this.#stages.unshift({ plan: (await plan) as unknown as CompiledPlan<object>, tensorsOf });
  }

  /** Memory of the plan's, for what one stage leaves for another. */
  hold(layout: Pick<TensorLayout, "shape" | "dtype">): TensorView {
    const view = this.ctx.empty(layout.shape, layout.dtype);
    this.#held.push(view);
    return view;
  }

  holdRowTerms(): TensorView {
    const [batches, tokensQ, heads] = this.#attention.q.shape;
    return this.hold(rowTermsLayout(batches, heads, tokensQ));
  }

  /** The mean weight that each key receives, [B, Tk, Hq, 1] with each head's keys side by side. */
  holdReceived(): TensorView {
    const [batches, , heads] = this.#attention.q.shape;
    const [, tokensK] = this.#attention.k.shape;
    return byHead(this.hold({ dtype: "f32", shape: [batches, tokensK, heads, 1] }));
  }

  /** What softmax attention takes of the views. */
  attentionTensors(views: Views, { bias, lse }: SoftmaxProblem): SoftmaxTensors {
    const { q, k, v, out } = views;
    return {
      ...{ q: q!, k: k!, v: v!, out: out! },
      ...(bias && { bias: views.bias! }),
      ...(lse && { lse: views.lse! }),
    };
  }

  destroy(): void {
    for (const { plan } of this.#stages) plan.destroy();
    for (const { buffer } of this.#held) buffer.destroy();
  }

  joined(): IntervenedPlan {
    const [batches, tokens, heads] = this.#attention.q.shape;
    const needsLse = !this.hasLse && this.#stages.length > 1;
    if (needsLse) this.#lse = byHead(this.hold({ dtype: "f32", shape: [batches, tokens, heads, 1] }));
    const views = (tensors: IntervenedTensors): Views => {
      for (const name of this.#names) {
        if ((tensors as unknown as Views)[name] !== undefined) continue;
        fail(
          "shape",
          `record tensor "${name}"`,
          "a tensor view",
          "none",
          "Give every tensor that was planned.",
        );
      }
      for (const name of Object.keys(tensors)) {
        if ((tensors as unknown as Views)[name] === undefined || this.#names.includes(name)) continue;
        const fix = "Ask for it when planning, or leave it out.";
        fail("shape", `record tensor "${name}"`, `the planned tensors ${this.#names.join(", ")}`, name, fix);
      }
      return { ...tensors, ...(this.#lse && { lse: this.#lse }) } as Views;
    };
    const stages = this.#stages;
    return {
      ...(this.sinks && { sinks: this.sinks }),
      ...planTotals(stages),
      record: (encoder, tensors, options) => {
        const given = views(tensors);
        for (const { plan, tensorsOf } of stages) plan.record(encoder, tensorsOf(given), options);
      },
      segments: stages.flatMap(({ plan, tensorsOf }) =>
        plan.segments.map(
          ({ passes, cost, record }): PlanSegment<IntervenedTensors> => ({
            passes,
            cost,
            record: (encoder, tensors, options) => record(encoder, tensorsOf(views(tensors)), options),
          }),
        ),
      ),
      destroy: () => this.destroy(),
    };
  }
}
