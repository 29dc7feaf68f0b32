import type { AttentionContext, TensorView } from "webgpu-attention";
import type { CompiledPlan } from "webgpu-attention/calibration";
import type { SoftmaxProblem } from "webgpu-attention/softmax";
import { fail } from "../check.js";
import { type HeadOperations, joinedOperations, operationsOfEntries } from "./head-operations.js";
import {
  type IntervenedPlan,
  type IntervenedProblem,
  type IntervenedTensors,
  planIntervenedAttention,
} from "./intervened-attention.js";

/** Where in a model attention takes place. */
export interface AttentionSite {
  /** From 0. */
  readonly layer: number;
  /** `"softmax"`, or another mechanism, whose heads have no pattern to act on. */
  readonly mechanism: string;
  readonly phase: "prefill" | "decode";
  /**
   * Positions of the query rows, [begin, end): the places of their keys in the cache, which move where it forgets. Of sequences of different lengths
   * those of the longest.
   */
  readonly positions: readonly [begin: number, end: number];
}

/** What a hook wants done at a site. */
export interface HeadTerms {
  /** The same for all batch entries, or one map for each. */
  readonly heads: HeadOperations | readonly HeadOperations[];
}

/** Names of what a model computes around its attention. */
export type ActivationName =
  | "residualIn"
  | "q"
  | "k"
  | "v"
  | "headOutput"
  | "attentionOutput"
  | "residualOut"
  | "logits";

/** Looks into attention, and changes it. All methods are optional; what a hook records runs with the rest. */
export interface AttentionHook {
  /** When a site's attention is planned: what to do to its heads. */
  prepare?(site: AttentionSite): HeadTerms | undefined;
  /** When it is recorded, behind it: may record more, which reads these tensors or changes `out`. */
  after?(site: AttentionSite, encoder: GPUCommandEncoder, tensors: HookedTensors): void;
  /** Whenever a model has recorded an activation, before anything reads it: may record copies from it, or into it. */
  activation?(
    site: AttentionSite,
    name: ActivationName,
    encoder: GPUCommandEncoder,
    tensor: TensorView,
  ): void;
}

/** Tensors of a site: what went in, and what came out after all operations. */
export interface HookedTensors {
  readonly q: TensorView;
  readonly k: TensorView;
  readonly v: TensorView;
  readonly out: TensorView;
  readonly lse: TensorView;
}

/**
 * A problem of softmax attention at a site. `lse` is always written, since hooks may read it: laid out as given, or with each head's rows side by
 * side, strides [Hq Tq, 1, Tq, 1], where it is not. While decoding, shifts by received weight want the `sinks` of the prefill's plan, or
 * the sums that are `carried` from step to step; without them they find sinks in the rows of the step alone.
 */
export type HookedProblem = Omit<IntervenedProblem, "heads">;

export interface HookedPlan
  extends CompiledPlan<IntervenedTensors & { readonly lse: TensorView }>,
    Pick<IntervenedPlan, "sinks"> {}

/**
 * Plans the attention of a site as hooks want it: activations `q`, `k` and `v` before it, the operations of all of them, in their order, on the same
 * heads one after the other (scales and biases first), what each records behind it, and the activation `headOutput`. The other activations
 * are the model's to announce (`recordActivation`). For a model's runtime, or a model of one's own.
 *
 * @throws AttentionError "unsupported" for operations at a site without softmax, and as `planIntervenedAttention`
 */
export async function planHookedAttention(
  ctx: AttentionContext,
  site: AttentionSite,
  problem: HookedProblem,
  hooks: readonly AttentionHook[],
): Promise<HookedPlan> {
  const heads = operationsAt(site, problem, hooks);
  const lse = problem.lse || true;
  const plan = await planIntervenedAttention(ctx, { ...problem, lse, ...(heads && { heads }) });
  const before = (encoder: GPUCommandEncoder, tensors: IntervenedTensors) => {
    for (const name of ["q", "k", "v"] as const) recordActivation(hooks, site, name, encoder, tensors[name]);
  };
  const after = (encoder: GPUCommandEncoder, { q, k, v, out, lse: written }: HookedTensors) => {
    for (const hook of hooks) hook.after?.({ ...site }, encoder, { q, k, v, out, lse: written });
    recordActivation(hooks, site, "headOutput", encoder, out);
  };
  // Hooks record commands of their own between dispatches, so such a plan cannot be bound as those of dispatches alone can.
  const { passes, cost, sinks } = plan;
  return {
    ...{ passes, cost, ...(sinks && { sinks }) },
    record: (encoder, tensors, options) => {
      before(encoder, tensors);
      plan.record(encoder, tensors, options);
      after(encoder, tensors);
    },
    segments: plan.segments.map((segment, n) => ({
      ...segment,
      record: (encoder, tensors, options) => {
        if (n === 0) before(encoder, tensors);
        segment.record(encoder, tensors, options);
        if (n === plan.segments.length - 1) after(encoder, tensors as HookedTensors);
      },
    })),
    destroy: () => plan.destroy(),
  };
}

/**
 * What hooks want done to the heads of a site, one map for each batch entry; undefined where nothing is. A model whose mechanism has no softmax asks
 * for nothing but the error.
 *
 * @throws AttentionError "unsupported" for operations where the mechanism has no softmax
 */
export function operationsAt(
  site: AttentionSite,
  { q }: Pick<SoftmaxProblem, "q">,
  hooks: readonly AttentionHook[],
): readonly HeadOperations[] | undefined {
  const [batches, , heads] = q.shape;
  const wanted = hooks.flatMap((hook) => {
    const terms = hook.prepare?.(site);
    return terms ? [operationsOfEntries(terms.heads, batches, heads)] : [];
  });
  const isEmpty = wanted.every((entries) => entries.every((map) => map.size === 0));
  if (isEmpty) return undefined;
  if (site.mechanism !== "softmax")
    fail(
      "unsupported",
      `operations on heads of layer ${site.layer}`,
      "softmax attention, whose log-sum-exp gives its weights",
      site.mechanism,
      "Leave the layer out, or choose a model whose mechanism is softmax.",
    );
  return Array.from({ length: batches }, (_, b) => joinedOperations(wanted.map((entries) => entries[b]!)));
}

/** An activation of a model that is running, for every hook that asks for it. */
export function recordActivation(
  hooks: readonly AttentionHook[],
  site: AttentionSite,
  name: ActivationName,
  encoder: GPUCommandEncoder,
  tensor: TensorView,
): void {
  // A copy: hooks may keep it, and a model's sites move.
  for (const hook of hooks) hook.activation?.({ ...site }, name, encoder, tensor);
}
