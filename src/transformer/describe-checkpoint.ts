import { AttentionError } from "webgpu-attention";
import { architectureOf } from "./config/architectures.js";
import { Fields } from "./config/fields.js";
import type { ModelConfig } from "./config/model-config.js";
import type { TensorList } from "./config/tensor-list.js";
import type { OpenedFiles } from "./sources/opened-files.js";
import { parseJson } from "./sources/read-json.js";
import { openSafetensors } from "./weights/open-weights.js";
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
 * @throws AttentionError "format", "unsupported", "aborted"
 */
export async function describeCheckpoint(
  opened: OpenedFiles,
  signal?: AbortSignal,
): Promise<CheckpointDescription> {
  const fields = await readConfiguration(opened);
  const architecture = architectureOf(fields);
  const config = architecture.config(fields);
  const files = await openSafetensors((path) => opened.open(path), signal);
  const names = new Set(files.flatMap(({ tensors }) => tensors.map(({ name }) => name)));
  return { config, list: architecture.tensors(config, names), files };
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
  const fields = new Fields("config.json", parseJson("config.json", bytes));
  if (!fields.has("image_size")) return fields;
  const pixels = await opened.read("preprocessor_config.json");
  if (!pixels) return fields;
  const scaling = new Fields("preprocessor_config.json", parseJson("preprocessor_config.json", pixels));
  const names = ["rescale_factor", "image_mean", "image_std"].filter((name) => scaling.has(name));
  return fields.with(Object.fromEntries(names.map((name) => [name, scaling.raw(name)])));
}
