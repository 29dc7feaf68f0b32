// What a user's application looks like: bundled by Vite, and compiled under strict settings.
import { AttentionContext, AttentionError, type TensorView } from "webgpu-attention";
import { planSoftmaxAttention, type SoftmaxPlan, softmaxAttention } from "webgpu-attention/softmax";

export async function attend(data: Float32Array, tokens: number, dim: number): Promise<Float32Array> {
  const adapter = await navigator.gpu.requestAdapter();
  if (!adapter) throw new Error("no WebGPU here");
  const device = await adapter.requestDevice(AttentionContext.requirements(adapter));
  const context = await AttentionContext.create(device);
  const tokensByDim: TensorView = context.fromArray(data, [1, tokens, 1, dim]);
  try {
    const { out } = await softmaxAttention(context, tokensByDim, tokensByDim, tokensByDim, { causal: true });
    return await context.read(out);
  } catch (error) {
    if (error instanceof AttentionError && error.code === "device-lost") throw new Error("start again");
    throw error;
  }
}

export function plan(context: AttentionContext, q: TensorView): Promise<SoftmaxPlan> {
  return planSoftmaxAttention(context, { q, k: q, v: q, lse: true });
}
