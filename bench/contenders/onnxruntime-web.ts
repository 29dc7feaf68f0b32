import type { DenseData } from "../../kernels/softmax/case-inputs.js";
import { type BenchInputs, type Call, type Contender, PEER_TOLERANCE } from "../contender.js";
import { fillWithNaN, readFloats, uploadFloats } from "../gpu.js";
import { attentionModels } from "./onnx-attention.js";
import type { OperatorModel } from "./onnx-model.js";
import { bindBuffers, onnxDevice, Sessions } from "./onnx-sessions.js";

/**
 * onnxruntime-web's native WebGPU execution provider: models of one operator, inputs and outputs bound to GPU buffers.
 *
 * Its device has no `subgroups` feature: with subgroups of 4 the flash kernels of 1.30.0 compute something else.
 */
export async function startOnnxRuntime(): Promise<Contender> {
  const device = await onnxDevice(["shader-f16"]);
  const sessions = new Sessions(device);
  return {
    tolerance: PEER_TOLERANCE,
    calls: (inputs) =>
      attentionModels(inputs.problem).map((model) => ({
        label: model.operator,
        prepare: () => prepare(device, sessions, model, inputs),
      })),
  };
}

async function prepare(
  device: GPUDevice,
  sessions: Sessions,
  model: OperatorModel,
  inputs: BenchInputs,
): Promise<Call> {
  const session = await sessions.create(model);
  const shapes = { ...model.inputs, ...model.outputs };
  const data = { ...modelInputs(model, inputs.data), out: new Float32Array(sizeOf(model.outputs.out!)) };
  const buffers: Record<string, GPUBuffer> = {};
  for (const [name, numbers] of Object.entries(data)) buffers[name] = uploadFloats(device, numbers);
  for (const [present, past] of [
    ["present_key", "past_key"],
    ["present_value", "past_value"],
  ] as const) {
    if (!(present in model.outputs)) continue;
    // A cache is written where it is read: the operator then appends to it instead of copying it.
    buffers[present] = buffers[past] ?? uploadFloats(device, new Float32Array(sizeOf(shapes[present]!)));
  }
  const [feeds, fetches] = [bindBuffers(model.inputs, buffers), bindBuffers(model.outputs, buffers)];
  return {
    async run() {
      await session.run(feeds, fetches);
      await device.queue.onSubmittedWorkDone();
    },
    poison: () => fillWithNaN(device, buffers.out!),
    read: () => readFloats(device, buffers.out!),
    destroy() {
      sessions.release(session);
      for (const buffer of new Set(Object.values(buffers))) buffer.destroy();
    },
  };
}

/** The project's dense [B, T, H, D] data as the model wants it. */
function modelInputs(
  { inputs }: OperatorModel,
  { q, k, v }: BenchInputs["data"],
): Record<string, Float32Array<ArrayBuffer>> {
  if (!inputs.past_key) return { q: q.data, k: k.data, v: v.data };
  const newTokens = inputs.k![1]!;
  const last = ({ data, shape }: DenseData) => data.slice(data.length - newTokens * shape[2] * shape[3]);
  return {
    q: q.data,
    k: last(k),
    v: last(v),
    past_key: cacheWithout(k, newTokens),
    past_value: cacheWithout(v, newTokens),
  };
}

/** [1, T, H, D] as [1, H, T, D], the newest tokens left zero for the operator to fill in. */
function cacheWithout(
  { data, shape: [, tokens, heads, dim] }: DenseData,
  newTokens: number,
): Float32Array<ArrayBuffer> {
  const cache = new Float32Array(data.length);
  for (let token = 0; token < tokens - newTokens; token++) {
    for (let head = 0; head < heads; head++) {
      const row = (token * heads + head) * dim;
      cache.set(data.subarray(row, row + dim), (head * tokens + token) * dim);
    }
  }
  return cache;
}

function sizeOf(shape: readonly number[]): number {
  return shape.reduce((size, dim) => size * dim, 1);
}
