import { type AttentionContext, AttentionError } from "webgpu-attention";
import { checkKnown } from "./check-arguments.js";
import type { ModelConfig } from "./config/model-config.js";
import { describeCheckpoint } from "./describe-checkpoint.js";
import {
  MODEL_FILES_OPTIONS,
  type ModelFilesOptions,
  type ModelSource,
  modelFiles,
} from "./sources/model-files.js";
import { OpenedFiles } from "./sources/opened-files.js";
import { loadWeights, type WeightProgress } from "./weights/load-weights.js";
import type { ModelWeights } from "./weights/model-weights.js";
import type { WeightChoices } from "./weights/plan-slots.js";

export interface LoadCheckpointOptions extends ModelFilesOptions {
  /**
   * How weight matrices are kept: `"stored"` (default) as the file has them, or rounded to `"f32"`, `"f16"`, `"q8"` or `"q4"`; one for
   * all, or one for each by its name. Vectors and small tables are f32.
   */
  readonly dtype?: WeightChoices;
  /** SHA-256 of files by their paths (`"model.safetensors"`), 64 hexadecimal digits each: files that have another are refused. */
  readonly sha256?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal;
  /** Called as weights arrive. */
  readonly onProgress?: (progress: WeightProgress) => void;
}

/** A model's description, and its weights on the GPU. */
export interface Checkpoint {
  readonly config: ModelConfig;
  /** The caller's to destroy. */
  readonly weights: ModelWeights;
}

const OPTIONS = ["dtype", "sha256", "signal", "onProgress", ...MODEL_FILES_OPTIONS];

/**
 * Loads a model's configuration and weights: `config.json` with `model.safetensors` or its shards (Hugging Face's architectures and
 * this package's own format; docs/models.md), or one GGUF file (`@huggingface/gguf` is loaded for it).
 *
 * Headers and configuration are checked against each other before anything is allocated on the GPU; then weights are read, converted
 * and uploaded a few MiB at a time.
 *
 * @throws AttentionError "format" for files that are missing, damaged or not of one model, naming the field or tensor; "unsupported"
 *   for an architecture or a type of values that is not known; "dtype" for weights that the wanted type cannot hold; "limit" when the
 *   GPU has no room, or for a configuration beyond 16 MiB; "shape" for a `sha256` that is none; "aborted", "device-lost"
 */
export function loadCheckpoint(
  ctx: AttentionContext,
  source: ModelSource,
  options: LoadCheckpointOptions = {},
): Promise<Checkpoint> {
  return loadAccepted(ctx, source, options, () => {});
}

/**
 * Loads a checkpoint that somebody has a use for.
 *
 * @param accept told of the configuration before any weight is read; what it throws ends loading
 */
export async function loadAccepted(
  ctx: AttentionContext,
  source: ModelSource,
  options: LoadCheckpointOptions,
  accept: (config: ModelConfig) => void,
): Promise<Checkpoint> {
  checkKnown("loadCheckpoint", options, OPTIONS);
  const { dtype = "stored", sha256, signal, onProgress } = options;
  checkDtype(dtype);
  const opened = new OpenedFiles(await modelFiles(source, options), sha256, signal);
  try {
    const { config, list, files } = await describeCheckpoint(opened, signal);
    accept(config);
    const verify = () => opened.verify();
    const weights = await loadWeights(ctx, list, files, { dtype, verify, signal, onProgress });
    return { config, weights };
  } finally {
    await opened.close();
  }
}

function checkDtype(dtype: unknown): void {
  const known = ["stored", "f32", "f16", "q8", "q4"];
  if (typeof dtype === "function" || known.includes(dtype as string)) return;
  throw new AttentionError("dtype", {
    subject: "dtype",
    expected: `${known.map((one) => `"${one}"`).join(", ")} or a function of a weight's name`,
    got: String(dtype),
    fix: "Leave it out to keep weights as they are stored.",
  });
}
