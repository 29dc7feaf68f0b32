import type { AgentConfig, ImageConfig, LayerConfig, ModelConfig, MohConfig } from "./model-config.js";
import { TensorList } from "./tensor-list.js";

/** The tensors of a checkpoint in the native format. */
export function nativeTensors(config: ModelConfig): TensorList {
  const list = new TensorList();
  if (config.diffusion) diffusionTensors(list, config);
  else if (config.image) classifierTensors(list, config);
  else languageTensors(list, config);
  return list;
}

function languageTensors(list: TensorList, config: ModelConfig): void {
  const { width, tokens, layers, norm, head } = config;
  list.matrix("embedding", "embedding.weight", tokens!.vocabulary, width);
  layers.forEach((layer, index) => {
    const [slot, name] = [`layers.${index}`, `blocks.${index}`];
    norms(list, slot, name, config);
    attention(list, slot, `${name}.mixer`, layer, config);
    const { hidden, bias } = layer.mlp;
    list.linear(`${slot}.gateUp`, `${name}.channels.up`, 2 * hidden, width, bias);
    list.linear(`${slot}.down`, `${name}.channels.down`, width, hidden, bias);
  });
  if (norm.learned) list.norm("norm", "norm", width, false);
  if (head.kind === "language" && !head.tied) list.matrix("head", "head.weight", tokens!.vocabulary, width);
}

function classifierTensors(list: TensorList, config: ModelConfig): void {
  const { width, head } = config;
  list.vector("classToken", "class_embedding", width);
  imageTensors(list, config, config.context);
  list.norm("norm", "norm", width, true);
  if (head.kind === "classifier") list.linear("head", "head", head.labels.length, width, true);
}

function diffusionTensors(list: TensorList, config: ModelConfig): void {
  const { width, layers, image, diffusion } = config;
  imageTensors(list, config, config.context);
  list.matrix("labels", "label_embedding.weight", diffusion!.classes + 1, width);
  list.linear("timeIn", "time_in", width, width, true);
  list.linear("timeOut", "time_out", width, width, true);
  layers.forEach((_, index) => {
    list.linear(`layers.${index}.modulation`, `blocks.${index}.modulation`, 6 * width, width, true);
  });
  list.linear("modulation", "modulation", 2 * width, width, true);
  list.linear("head", "head", image!.channels * image!.patch ** 2, width, true);
}

/** Patches, positions and layers, which classifiers and diffusion transformers share. */
function imageTensors(list: TensorList, config: ModelConfig, positions: number): void {
  const { width, image, layers } = config;
  list.linear("patches", "patches", width, image!.channels * image!.patch ** 2, true);
  list.table("positions", "position_embedding", positions, width);
  layers.forEach((layer, index) => {
    const [slot, name] = [`layers.${index}`, `blocks.${index}`];
    norms(list, slot, name, config);
    attention(list, slot, `${name}.attention`, layer, config);
    const { hidden, bias } = layer.mlp;
    list.linear(`${slot}.up`, `${name}.up`, hidden, width, bias);
    list.linear(`${slot}.down`, `${name}.down`, width, hidden, bias);
  });
}

function norms(list: TensorList, slot: string, name: string, { width, norm }: ModelConfig): void {
  if (!norm.learned) return;
  list.norm(`${slot}.norm1`, `${name}.norm1`, width, norm.kind === "layer");
  list.norm(`${slot}.norm2`, `${name}.norm2`, width, norm.kind === "layer");
}

/** Projections, and what a mechanism learns besides. */
function attention(
  list: TensorList,
  slot: string,
  name: string,
  { attention }: LayerConfig,
  { width, image }: ModelConfig,
): void {
  const { heads, kvHeads, headDim, qkvBias, outBias, mechanism } = attention;
  if (mechanism === "lightning") {
    list.linear(`${slot}.qkvu`, `${name}.qkvu`, 4 * heads * headDim, width, qkvBias);
  } else {
    list.linear(`${slot}.qkv`, `${name}.qkv`, (heads + 2 * kvHeads) * headDim, width, qkvBias);
  }
  if (mechanism === "moh") {
    // A table: the projection of active heads reads f32.
    list.table(`${slot}.out`, `${name}.out.weight`, width, heads * headDim);
    if (outBias) list.vector(`${slot}.out.bias`, `${name}.out.bias`, width);
    router(list, slot, `${name}.router`, attention, width);
  } else {
    list.linear(`${slot}.out`, `${name}.out`, width, heads * headDim, outBias);
  }
  if (mechanism === "agent") agents(list, slot, `${name}.agent`, attention, image!);
}

/** Tables, because they are small and read by the routers' own kernels. */
function router(list: TensorList, slot: string, name: string, config: MohConfig, width: number): void {
  const { heads, sharedHeads, topK } = config;
  const routed = heads - sharedHeads;
  if (sharedHeads > 1) list.table(`${slot}.router.shared`, `${name}.among_shared.weight`, sharedHeads, width);
  if (topK > 0) list.table(`${slot}.router.routed`, `${name}.among_routed.weight`, routed, width);
  if (sharedHeads > 0 && topK > 0) list.table(`${slot}.router.balance`, `${name}.balance.weight`, 2, width);
}

/** Tables [heads * agents, ...]; `bakeAgentBiases` makes the biases of a grid of them. */
function agents(list: TensorList, slot: string, name: string, config: AgentConfig, image: ImageConfig): void {
  const { heads, headDim, agents: count, biasGrid, kernel } = config;
  const grid = image.size / image.patch;
  const rows = heads * count;
  const table = (part: string, shape: readonly number[]) => {
    const size = shape.reduce((product, length) => product * length, 1);
    list.table(`${slot}.agent.${part}`, `${name}.${part}`, rows, size / rows, shape);
  };
  table("an_bias", [heads, count, biasGrid, biasGrid]);
  table("na_bias", [heads, count, biasGrid, biasGrid]);
  table("ah_bias", [1, heads, count, grid, 1]);
  table("aw_bias", [1, heads, count, 1, grid]);
  table("ha_bias", [1, heads, grid, 1, count]);
  table("wa_bias", [1, heads, 1, grid, count]);
  if (image.extraTokens > 0) {
    table("ac_bias", [1, heads, count, 1]);
    table("ca_bias", [1, heads, 1, count]);
  }
  const channels = heads * headDim;
  list.table(`${slot}.agent.dwc`, `${name}.dwc.weight`, channels, kernel ** 2, [channels, 1, kernel, kernel]);
  list.vector(`${slot}.agent.dwc.bias`, `${name}.dwc.bias`, channels);
}
