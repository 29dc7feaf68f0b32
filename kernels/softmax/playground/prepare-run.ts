import type { AttentionContext } from "../../../src/dispatch/context.js";
import { elementCount, type TensorView } from "../../../src/dispatch/tensor-view.js";
import type { PreparedRun } from "../../_playground/mechanism.js";
import { normalSource } from "../../_playground/normal-source.js";
import { makeCaseInputs, type SoftmaxCaseInputs } from "../case-inputs.js";
import { shapesOf } from "../cases.js";
import { rounded } from "../check-case.js";
import type { SoftmaxConfiguration } from "../configuration.js";
import { planSoftmaxAttention, type SoftmaxTensors } from "../index.js";
import { fusedWidth, inputLayouts } from "./layouts.js";
import type { PlaygroundCase } from "./read-values.js";
import { verifyRun } from "./verify-run.js";
import { weightsPicture } from "./weights-picture.js";

/** Makes and uploads inputs, fills outputs with NaN, and compiles. */
export async function prepareSoftmax(
  ctx: AttentionContext,
  problem: PlaygroundCase,
  configuration: SoftmaxConfiguration | undefined,
): Promise<PreparedRun> {
  const made = makeCaseInputs(problem, normalSource());
  const tensors = upload(ctx, problem, made);
  const destroyTensors = () => {
    for (const { buffer } of Object.values(tensors)) buffer.destroy();
  };
  try {
    const plan = await planSoftmaxAttention(ctx, { ...made.options, ...tensors }, { configuration });
    const inputs: SoftmaxCaseInputs = {
      ...made,
      q: rounded(made.q, problem.dtype),
      k: rounded(made.k, problem.kvDtype),
      v: rounded(made.v, problem.kvDtype),
    };
    return {
      passes: plan.passes,
      cost: plan.cost,
      segments: plan.segments.map((segment) => ({
        passes: segment.passes,
        record: (encoder, profiler) => segment.record(encoder, tensors, { ...(profiler && { profiler }) }),
      })),
      async verify(signal) {
        const out = await ctx.read(tensors.out);
        const lse = tensors.lse && (await ctx.read(tensors.lse));
        return verifyRun(problem, inputs, { out, ...(lse && { lse }) }, signal);
      },
      weights: (signal) => weightsPicture(inputs, signal),
      destroy() {
        plan.destroy();
        destroyTensors();
      },
    };
  } catch (error) {
    destroyTensors();
    throw error;
  }
}

function upload(ctx: AttentionContext, problem: PlaygroundCase, made: SoftmaxCaseInputs): SoftmaxTensors {
  const { batches, tokensQ, heads, dtype } = problem;
  const shape = shapesOf(problem).out;
  const nan = (count: number) => new Float32Array(count).fill(Number.NaN);
  return {
    ...uploadInputs(ctx, problem, made),
    ...(made.bias && { bias: ctx.fromArray(made.bias.data, made.bias.shape) }),
    out: ctx.fromArray(nan(elementCount(shape)), shape, dtype),
    ...(problem.lse && {
      lse: ctx.fromArray(nan(batches * tokensQ * heads), [batches, tokensQ, heads, 1]),
    }),
  };
}

function uploadInputs(
  ctx: AttentionContext,
  problem: PlaygroundCase,
  { q, k, v }: SoftmaxCaseInputs,
): Record<"q" | "k" | "v", TensorView> {
  const { dtype, kvDtype, batches, tokensQ } = problem;
  if (!problem.fused) {
    return {
      q: ctx.fromArray(q.data, q.shape, dtype),
      k: ctx.fromArray(k.data, k.shape, kvDtype),
      v: ctx.fromArray(v.data, v.shape, kvDtype),
    };
  }
  const width = fusedWidth(problem);
  const tokens = batches * tokensQ;
  const fused = new Float32Array(tokens * width);
  for (let token = 0; token < tokens; token++) {
    let at = token * width;
    for (const { data } of [q, k, v]) {
      const size = data.length / tokens;
      fused.set(data.subarray(token * size, (token + 1) * size), at);
      at += size;
    }
  }
  const { buffer } = ctx.fromArray(fused, [batches, tokensQ, 1, width], dtype);
  const layouts = inputLayouts(problem);
  return { q: { ...layouts.q, buffer }, k: { ...layouts.k, buffer }, v: { ...layouts.v, buffer } };
}
