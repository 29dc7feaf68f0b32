import { AttentionContext, memoryTuningStore } from "webgpu-attention";
import {
  configurationName,
  planSoftmaxAttention,
  type SoftmaxConfiguration,
  softmaxConfigurations,
  tuneSoftmaxAttention,
} from "webgpu-attention/softmax";
import { TOLERANCE_F32 } from "../../kernels/softmax/cases.js";
import type { BenchInputs, Call, CallFactory, Contender, TuningKind } from "../contender.js";
import { fillWithNaN, requestDevice } from "../gpu.js";
import { MEASURED, TABLE } from "../sweep.js";

/** Gives the configuration to plan with; undefined leaves it to the context. */
type Choose = (
  problem: Parameters<typeof tuneSoftmaxAttention>[1],
) => Promise<SoftmaxConfiguration | undefined>;

/** This project, in the context's default configuration unless `tuning` says how to choose one. */
export async function startOurs(tuning?: TuningKind): Promise<Contender> {
  const device = await requestDevice((adapter) => AttentionContext.requirements(adapter));
  const store = memoryTuningStore();
  const ctx = await AttentionContext.create(device, { tuning: tuning === "measure" ? store : "table" });
  ctx.fillScratch(Number.NaN);
  const call = (inputs: BenchInputs, label: string, choose: Choose): CallFactory => {
    return { label, prepare: () => prepareCall(ctx, inputs, choose) };
  };
  return {
    tolerance: TOLERANCE_F32,
    calls(inputs) {
      if (tuning !== "sweep") return [call(inputs, "planSoftmaxAttention", async () => undefined)];
      const [table, ...others] = softmaxConfigurations(ctx, layoutsOf(inputs));
      const measure: Choose = async (problem) => {
        const fresh = await AttentionContext.create(device);
        try {
          const { winner } = await tuneSoftmaxAttention(fresh, problem);
          return winner.candidate;
        } finally {
          fresh.destroy();
        }
      };
      return [
        call(inputs, TABLE, async () => table),
        call(inputs, MEASURED, measure),
        ...others.map((other) => call(inputs, configurationName(other), async () => other)),
      ];
    },
  };
}

function layoutsOf({ problem, data }: BenchInputs) {
  const layout = ({ shape }: BenchInputs["data"]["q"]) => ({ dtype: "f32", shape }) as const;
  const { causal = false } = problem.options;
  return { q: layout(data.q), k: layout(data.k), v: layout(data.v), causal };
}

async function prepareCall(ctx: AttentionContext, inputs: BenchInputs, choose: Choose): Promise<Call> {
  const { problem, data } = inputs;
  const { batches, tokensQ, heads, valueDim } = problem;
  const tensors = {
    q: ctx.fromArray(data.q.data, data.q.shape),
    k: ctx.fromArray(data.k.data, data.k.shape),
    v: ctx.fromArray(data.v.data, data.v.shape),
    out: ctx.empty([batches, tokensQ, heads, valueDim]),
  };
  const layouts = layoutsOf(inputs);
  const configuration = await choose(layouts);
  const plan = await planSoftmaxAttention(ctx, layouts, { ...(configuration && { configuration }) });
  const { device } = ctx;
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
}
