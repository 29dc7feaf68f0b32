import { AttentionContext } from "webgpu-attention";
import { planSoftmaxAttention } from "webgpu-attention/softmax";
import { TOLERANCE_F32 } from "../../kernels/softmax/cases.js";
import type { Call, Contender, TuningKind } from "../contender.js";
import { fillWithNaN, requestDevice } from "../gpu.js";

/** This project, in the context's default configuration unless `tuning` says how to choose one. */
export async function startOurs(tuning?: TuningKind): Promise<Contender> {
  const device = await requestDevice((adapter) => AttentionContext.requirements(adapter));
  const ctx = await AttentionContext.create(device, { ...(tuning && { tuning }) });
  ctx.fillScratch(Number.NaN);
  return {
    tolerance: TOLERANCE_F32,
    calls: ({ problem, data }) => [
      {
        label: "planSoftmaxAttention",
        async prepare(): Promise<Call> {
          const { batches, tokensQ, heads, valueDim, options: caseOptions } = problem;
          const tensors = {
            q: ctx.fromArray(data.q.data, data.q.shape),
            k: ctx.fromArray(data.k.data, data.k.shape),
            v: ctx.fromArray(data.v.data, data.v.shape),
            out: ctx.empty([batches, tokensQ, heads, valueDim]),
          };
          const { causal = false } = caseOptions;
          const plan = await planSoftmaxAttention(ctx, { ...tensors, causal });
          return {
            async run() {
              const encoder = device.createCommandEncoder();
              plan.record(encoder, tensors);
              device.queue.submit([encoder.finish()]);
              await device.queue.onSubmittedWorkDone();
            },
            poison: () => fillWithNaN(device, tensors.out.buffer),
            read: () => ctx.read(tensors.out),
            destroy() {
              plan.destroy();
              for (const { buffer } of Object.values(tensors)) buffer.destroy();
            },
          };
        },
      },
    ],
  };
}
