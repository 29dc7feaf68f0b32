import { AttentionError, type TensorView } from "webgpu-attention";
import { planAgentAttention } from "webgpu-attention/agent";
import { planMatmul } from "webgpu-attention/layers";
import type { AgentConfig } from "../../config/model-config.js";
import { watchHeads } from "../announce.js";
import { type LayerContext, linearWeights, rows } from "../layer-context.js";
import { planSteps, type Step, stepOf } from "../step.js";
import { agentBiases } from "./agent-biases.js";
import { headsOf } from "./recurrent.js";
import { planOut } from "./softmax.js";
import { type Streams, takeStream } from "./streams.js";

/** Agent attention over an image's patches, its class token aside (arXiv 2312.08874). */
export async function planAgentMixer(
  layer: LayerContext,
  attention: AgentConfig,
  streams: Streams,
): Promise<Step[]> {
  const { heads, headDim } = attention;
  const slot = `layers.${layer.index}`;
  const projected = rows(layer, "projected", 3 * heads * headDim);
  const attended = layer.work.view("attended", [layer.batches, layer.tokens, heads, headDim]);
  const { options, tensors } = takeStream(layer, streams, `${slot}.norm1`);
  const [q, k, v] = [0, 1, 2].map((n) => headsOf(projected, heads, headDim, n)) as [
    TensorView,
    TensorView,
    TensorView,
  ];
  const { before, after } = watchHeads(layer, { q, k, v, out: attended });
  const project = () =>
    planMatmul(layer.ctx, {
      ...{ ...options, out: projected, ...linearWeights(layer, `${slot}.qkv`) },
    });
  return planSteps([
    project().then((plan) => stepOf(plan, { ...tensors, out: projected })),
    Promise.resolve(before),
    planAgents(layer, attention, { q, k, v, out: attended }),
    Promise.resolve(after),
    planOut(layer, attention, streams, attended),
  ]);
}

async function planAgents(
  layer: LayerContext,
  attention: AgentConfig,
  own: Readonly<Record<"q" | "k" | "v" | "out", TensorView>>,
): Promise<Step> {
  const { ctx, config, weights, index, tokens } = layer;
  const { heads, headDim, scale, agents, kernel } = attention;
  const image = config.image!;
  if (image.extraTokens > 1) throw distilled(index);
  const classToken = image.extraTokens > 0;
  const side = image.size / image.patch;
  const grid = [side, side] as const;
  const { agentBias, queryBias } = await agentBiases(layer, attention, image);
  const channels = heads * headDim;
  const taps = kernel ** 2;
  const slot = `layers.${index}.agent.dwc`;
  // Stored [H D, 1, 3, 3].
  const depthwise = {
    weight: {
      ...weights.view(slot),
      shape: [1, taps, heads, headDim] as const,
      strides: [channels * taps, 1, headDim * taps, taps] as const,
    },
    bias: { ...weights.view(`${slot}.bias`), shape: [1, 1, heads, headDim] as const },
    ...{ grid, classToken },
  };
  const biases = {
    agentBias: ctx.fromArray(agentBias, [1, heads, agents, tokens]),
    queryBias: ctx.fromArray(queryBias, [1, heads, tokens, agents]),
  };
  const free = () => {
    for (const { buffer } of Object.values(biases)) buffer.destroy();
  };
  const tensors = { ...own, ...biases };
  try {
    const plan = await planAgentAttention(ctx, {
      ...{ ...tensors, scale, depthwise },
      agents: { grid, pool: Math.sqrt(agents), classToken },
    });
    const given = { ...tensors, depthwiseWeight: depthwise.weight, depthwiseBias: depthwise.bias };
    const step = stepOf(plan, given);
    const destroy = () => {
      step.destroy();
      free();
    };
    return { ...step, destroy };
  } catch (error) {
    free();
    throw error;
  }
}

function distilled(layer: number): AttentionError {
  return new AttentionError("unsupported", {
    subject: `layer ${layer}`,
    ...{ expected: "a class token or none beside patches", got: "a distillation token as well" },
    fix: "Agents are pooled from patches: take another mechanism.",
  });
}
