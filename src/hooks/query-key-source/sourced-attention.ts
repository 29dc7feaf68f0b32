import { type AttentionContext, AttentionError, type TensorView } from "webgpu-attention";
import { type CompiledPlan, type PlanSegment, PlanSequence } from "webgpu-attention/calibration";
import { planLinear } from "webgpu-attention/layers";
import { planSoftmaxAttention, type SoftmaxCallOptions, type SoftmaxTensors } from "webgpu-attention/softmax";
import { attendOnce } from "../attend-once.js";
import { fail } from "../check.js";
import { planTotals } from "../plan-totals.js";
import {
  type Projection,
  projectionsOf,
  type SourcedProblem,
  type SourcedWeights,
  WEIGHT_NAMES,
  withStrides,
} from "./problem.js";

/** Tensors of one `record`. Layouts are as planned; buffers may differ from call to call. */
export interface SourcedTensors extends Omit<SoftmaxTensors, "q" | "k" | "v">, SourcedWeights<TensorView> {
  readonly hidden: TensorView;
  /** Left out: queries and keys are those of the last `record` that had it. So a source that stays the same is projected once. */
  readonly states?: TensorView;
}

export type SourcedPlan = CompiledPlan<SourcedTensors>;
export type SourcedSegment = PlanSegment<SourcedTensors>;

/**
 * Plans attention whose queries and keys are projected from `states` and whose values from `hidden`, as the variants of Deconstructing Attention
 * (arXiv 2510.11602) that take the pattern from elsewhere. What `states` is makes the variant:
 *
 * - RndEmbQK: what fixed random embeddings (`randomEmbeddings`) become by running through the stack, at this layer
 * - FixedSeqQK: the same of a fixed text
 * - StaticEmbQK: the input's own embeddings, at every layer
 * - the layer's input: plain attention
 *
 * q = states Wq, k = states Wk, v = hidden Wv, then softmax attention with its options. The plan owns q, k and v (`ctx.memory()` counts them). Where `record` throws,
 * part of the work may stand in the encoder: drop the encoder, and give `states` again.
 *
 * @throws AttentionError as `planLinear` and `planSoftmaxAttention`, "shape" for sizes that do not belong together and "unsupported" for
 *   queries, keys or values; from `record` also "unsupported" without `states` at first
 */
export async function planSourcedAttention(
  ctx: AttentionContext,
  problem: SourcedProblem,
): Promise<SourcedPlan> {
  const projections = projectionsOf(problem);
  const between = new PlanSequence(ctx);
  const stages: Stage[] = [];
  const destroy = () => {
    for (const { plan } of stages) plan.destroy();
    between.destroy();
  };
  try {
    const views = {} as Record<"q" | "k" | "v", TensorView>;
    for (const name of ["q", "k", "v"] as const) {
      const { x, weight, bias, out, heads } = projections[name];
      const flat = between.hold({ shape: out.shape, dtype: out.dtype });
      views[name] = { ...heads, buffer: flat.buffer };
      const biasOf = problem[bias];
      const linear = { x, weight: problem[weight], ...(biasOf && { bias: biasOf }), out: flat };
      stages.push(projectionStage(projections[name], await planLinear(ctx, linear), flat));
    }
    const attention = await planSoftmaxAttention(ctx, { ...without(OWN_NAMES, problem), ...views });
    stages.push({
      plan: attention as unknown as CompiledPlan<object>,
      isPattern: false,
      tensorsOf: (tensors) => ({ ...without(OWN_NAMES, tensors), ...views }),
    });
  } catch (error) {
    destroy();
    throw error;
  }
  return joined(stages, destroy);
}

/** What softmax attention is not told of. */
const OWN_NAMES = ["hidden", "states", "heads", "kvHeads", ...WEIGHT_NAMES] as const;

function without<Given extends object, Name extends keyof Given & string>(
  names: readonly string[],
  given: Given,
): Omit<Given, Name> {
  return Object.fromEntries(Object.entries(given).filter(([name]) => !names.includes(name))) as Omit<
    Given,
    Name
  >;
}

interface Stage {
  readonly plan: CompiledPlan<object>;
  /** Whether it makes queries or keys. */
  readonly isPattern: boolean;
  /** Undefined where the stage is left out. */
  readonly tensorsOf: (tensors: SourcedTensors) => object | undefined;
}

function projectionStage(
  { input, weight, bias, x }: Projection,
  plan: CompiledPlan<never>,
  out: TensorView,
): Stage {
  return {
    plan,
    isPattern: input === "states",
    tensorsOf: (tensors) => {
      const given = tensors[input];
      if (!given) return undefined;
      // Of a longer source the beginning; what else differs from the plan is refused.
      const view =
        input === "states" && given.shape?.[1] > x.shape[1]
          ? { ...withStrides(given), shape: x.shape }
          : given;
      return { x: view, weight: tensors[weight], ...(tensors[bias] && { bias: tensors[bias] }), out };
    },
  };
}

function joined(stages: readonly Stage[], destroy: () => void): SourcedPlan {
  /** Segments of queries and keys that have been recorded since `states` was given, of all of them. */
  let projected = 0;
  let next = 0;
  const whole = stages.reduce((sum, { plan, isPattern }) => sum + (isPattern ? plan.segments.length : 0), 0);
  const check = (tensors: SourcedTensors) => {
    if (tensors.states || projected === whole) return;
    throw new AttentionError("unsupported", {
      subject: 'record tensor "states"',
      expected: "what queries and keys are projected from, in the first record",
      got: "none",
      fix: "Give it once; later records may leave it out.",
    });
  };
  return {
    ...planTotals(stages),
    record: (encoder, tensors, options) => {
      check(tensors);
      // Until all is recorded, there is no pattern to go on with.
      if (tensors.states) projected = 0;
      for (const { plan, tensorsOf } of stages) {
        const own = tensorsOf(tensors);
        if (own) plan.record(encoder, own, options);
      }
      projected = whole;
    },
    segments: stages.flatMap(({ plan, isPattern, tensorsOf }) =>
      plan.segments.map(({ passes, cost, record }): SourcedSegment => {
        const place = isPattern ? next++ : undefined;
        return {
          passes,
          cost,
          record: (encoder, tensors, options) => {
            check(tensors);
            const own = tensorsOf(tensors);
            if (!own) return;
            if (place === 0) projected = 0;
            record(encoder, own, options);
            if (place === projected) projected++;
          },
        };
      }),
    ),
    destroy,
  };
}

function checkView(name: string, view: TensorView): void {
  if (view.buffer) return;
  fail("shape", name, "a tensor view with its buffer", view, "Make one with ctx.fromArray(data, shape).");
}

export interface SourcedCallOptions extends SoftmaxCallOptions {
  readonly heads: number;
  /** Default `heads`. */
  readonly kvHeads?: number;
}

/**
 * Attention with queries and keys from elsewhere, once: plans, records, submits. In a loop over one shape, `planSourcedAttention` saves the planning,
 * and projecting a source that stays the same.
 *
 * @param hidden [B, T, 1, C]
 * @param states [B or 1, at least T, 1, Cs]
 * @returns `out` [B, T, heads, Dv], f32 and dense, and with `lse: true` the log-sum-exp [B, T, heads, 1], dense for each head; or what was
 *   given for them. New tensors' buffers are the caller's to destroy
 * @throws AttentionError as `planSourcedAttention` and `record`, before anything is submitted; "disposed" and "limit" for what only the
 *   driver finds: destroyed buffers, no memory
 */
export async function sourcedAttention(
  ctx: AttentionContext,
  hidden: TensorView,
  states: TensorView,
  weights: SourcedWeights<TensorView>,
  options: SourcedCallOptions,
): Promise<{ out: TensorView; lse?: TensorView }> {
  const { bias, out: givenOut, lse: givenLse, ...rest } = options;
  const given = {
    hidden,
    states,
    ...weights,
    bias,
    out: givenOut,
    lse: givenLse === true ? undefined : givenLse,
  };
  for (const [name, view] of Object.entries(given)) if (view) checkView(name, view);
  const plan = await planSourcedAttention(ctx, {
    ...{ ...rest, ...weights, hidden, states },
    ...(bias && { bias }),
    ...(givenOut && { out: givenOut }),
    ...(givenLse && { lse: givenLse }),
  });
  const { heads, kvHeads = heads } = options;
  const [batches, tokens] = hidden.shape;
  const out = { shape: [batches, tokens, heads, weights.wv.shape[3] / kvHeads], dtype: "f32" } as const;
  return attendOnce(ctx, plan, out, { out: givenOut, lse: givenLse }, (outputs) => ({
    ...{ ...weights, hidden, states, ...(bias && { bias }) },
    ...outputs,
  }));
}
