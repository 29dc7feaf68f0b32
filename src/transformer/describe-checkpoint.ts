import { AttentionError } from "webgpu-attention";
import { architectureOf } from "./config/architectures.js";
import { Fields } from "./config/fields.js";
import { GGUF_ROPE_FACTORS, ggufArchitecture } from "./config/gguf.js";
import type { ModelConfig } from "./config/model-config.js";
import type { TensorList } from "./config/tensor-list.js";
import type { OpenedFiles } from "./sources/opened-files.js";
import { parseStrictJson } from "./sources/read-json.js";
import { damaged } from "./weights/file-errors.js";
import { readGgufHeader } from "./weights/gguf.js";
import { openSafetensors } from "./weights/open-weights.js";
import { readSmallTensor } from "./weights/read-small-tensor.js";
import type { WeightFile } from "./weights/stored-tensor.js";

/** What files say of a model, checked but for its weights' values. */
export interface CheckpointDescription {
  readonly config: ModelConfig;
  readonly list: TensorList;
  readonly files: readonly WeightFile[];
}

/**
 * Reads a model's configuration and the headers of its weights. Nothing is allocated on the GPU.
 *
 * @throws AttentionError "format", "unsupported", "limit" for a configuration beyond 16 MiB, "aborted"
 */
export async function describeCheckpoint(
  opened: OpenedFiles,
  signal?: AbortSignal,
): Promise<CheckpointDescription> {
  if (opened.single !== undefined) return describeGguf(opened, opened.single, signal);
  const fields = await readConfiguration(opened);
  const architecture = architectureOf(fields);
  const config = await withGenerationIds(opened, fields, architecture.config(fields));
  const files = await openSafetensors((path) => opened.open(path), signal);
  const names = new Set(files.flatMap(({ tensors }) => tensors.map(({ name }) => name)));
  return { config, list: architecture.tensors(config, names), files };
}

/** Conversations often end with another token than texts, which only `generation_config.json` says. */
async function withGenerationIds(
  opened: OpenedFiles,
  fields: Fields,
  config: ModelConfig,
): Promise<ModelConfig> {
  if (!config.tokens || config.head.kind !== "language" || !fields.has("model_type")) return config;
  const bytes = await opened.readOptional("generation_config.json");
  if (!bytes) return config;
  const generation = new Fields("generation_config.json", parseStrictJson("generation_config.json", bytes));
  const eos = [...new Set([...config.tokens.eos, ...generation.ids("eos_token_id")])];
  return { ...config, tokens: { ...config.tokens, eos } };
}

async function describeGguf(
  opened: OpenedFiles,
  path: string,
  signal: AbortSignal | undefined,
): Promise<CheckpointDescription> {
  const source = await opened.open(path);
  if (!source) throw damaged(path, "a GGUF file", "no such file");
  const file = await readGgufHeader(source, signal);
  const byName = new Map(file.tensors.map((tensor) => [tensor.name, tensor]));
  const ropeFactors = new Map<string, ArrayLike<number>>();
  for (const name of GGUF_ROPE_FACTORS) {
    const tensor = byName.get(name);
    if (tensor) ropeFactors.set(name, await readSmallTensor(source, tensor, signal));
  }
  const names = new Set(byName.keys());
  const vocabulary = byName.get("token_embd.weight")?.shape[0];
  const fields = new Fields(path, file.metadata);
  const architecture = ggufArchitecture(fields, { names, vocabulary, ropeFactors });
  const config = architecture.config(fields);
  return { config, list: architecture.tensors(config, names), files: [file] };
}

/** `config.json`, with how pixels are scaled from `preprocessor_config.json` where a model of images has one. */
async function readConfiguration(opened: OpenedFiles): Promise<Fields> {
  const bytes = await opened.read("config.json");
  if (!bytes) {
    throw new AttentionError("format", {
      subject: "config.json",
      expected: "the model's configuration",
      got: "no such file",
      fix: "Place it beside the weights, or give the address of one .gguf file.",
    });
  }
  const fields = new Fields("config.json", parseStrictJson("config.json", bytes));
  if (!fields.has("image_size")) return fields;
  const pixels = await opened.readOptional("preprocessor_config.json");
  if (!pixels) return fields;
  const scaling = new Fields("preprocessor_config.json", parseStrictJson("preprocessor_config.json", pixels));
  const names = ["do_rescale", "rescale_factor", "do_normalize", "image_mean", "image_std"].filter((name) =>
    scaling.has(name),
  );
  return fields.with(Object.fromEntries(names.map((name) => [name, scaling.raw(name)])));
}
