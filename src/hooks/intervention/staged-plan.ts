import type { AttentionContext, TensorLayout, TensorView } from "webgpu-attention";
import {
  byHeadLayout,
  type CompiledPlan,
  PlanSequence,
  rowTermsLayout,
  type SinkLists,
  type TensorSpec,
  type Views,
} from "webgpu-attention/calibration";
import type { SoftmaxProblem, SoftmaxTensors } from "webgpu-attention/softmax";
import type { IntervenedPlan, IntervenedTensors } from "./intervened-attention.js";

/** Tensors that the caller gives beside those of softmax attention. */
interface GivenBeside {
  /** Whether the log-sum-exp is among them. */
  readonly lse: boolean;
  readonly hidden?: TensorLayout;
  readonly carried: boolean;
  readonly receivedSums: boolean;
}

/** Softmax attention and what comes after it, as one plan. */
export class StagedPlan {
  readonly ctx: AttentionContext;
  /** Of the shifts, once they are planned. */
  sinks: SinkLists | undefined;
  readonly #attention: SoftmaxProblem;
  readonly #given: GivenBeside;
  readonly #stages: PlanSequence;
  #lse: TensorView | undefined;

  constructor(ctx: AttentionContext, attention: SoftmaxProblem, given: GivenBeside) {
    this.ctx = ctx;
    this.#attention = attention;
    this.#given = given;
    this.#stages = new PlanSequence(ctx);
  }

  /** Whether the caller gives a tensor for the log-sum-exp. */
  get hasLse(): boolean {
    return this.#given.lse;
  }

  /** @param place default behind all others */
  add<Tensors extends object>(
    plan: Promise<CompiledPlan<Tensors>> | CompiledPlan<Tensors>,
    tensorsOf: (views: Views) => Tensors,
    place?: number,
  ): Promise<void> {
    return this.#stages.add(
      plan,
      (views) => tensorsOf({ ...views, ...(this.#lse && { lse: this.#lse }) }),
      place,
    );
  }

  holdRowTerms(): TensorView {
    const [batches, tokensQ, heads] = this.#attention.q.shape;
    return this.#stages.hold(rowTermsLayout(batches, heads, tokensQ));
  }

  /** The mean weight that each key receives. */
  holdReceived(): TensorView {
    return this.#stages.hold(this.#ofKeys());
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
    this.#stages.destroy();
  }

  joined(): IntervenedPlan {
    // Attention alone writes none that nobody asked for.
    if (!this.hasLse && this.#stages.length > 1) this.#lse = this.#stages.hold(this.#ofRows());
    return {
      ...(this.sinks && { sinks: this.sinks }),
      ...this.#stages.joined<IntervenedTensors>(this.#specs()),
    };
  }

  #specs(): Readonly<Record<string, TensorSpec>> {
    const { q, k, v, bias, lse } = this.#attention;
    const [batches, tokensQ, heads] = q.shape;
    const dense: TensorLayout = { dtype: q.dtype, shape: [batches, tokensQ, heads, v.shape[3]] };
    const { hidden, carried, receivedSums } = this.#given;
    const read = { layout: this.#ofKeys() };
    const written = { ...read, output: true };
    return {
      ...{ q: { layout: q }, k: { layout: k }, v: { layout: v } },
      ...(bias && { bias: { layout: bias } }),
      ...(hidden && { hidden: { layout: hidden } }),
      ...(carried && { carriedSum: read, carriedCount: read }),
      out: { layout: this.#attention.out ?? dense, output: true },
      ...(this.hasLse && { lse: { layout: typeof lse === "object" ? lse : this.#ofRows(), output: true } }),
      ...(receivedSums && { receivedSum: written, receivedCount: written }),
    };
  }

  #ofRows(): TensorLayout {
    const [batches, tokensQ, heads] = this.#attention.q.shape;
    return byHeadLayout(batches, tokensQ, heads);
  }

  #ofKeys(): TensorLayout {
    const [batches, , heads] = this.#attention.q.shape;
    return byHeadLayout(batches, this.#attention.k.shape[1], heads);
  }
}
