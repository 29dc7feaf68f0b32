import { type AttentionContext, AttentionError } from "webgpu-attention";
import { checkKnown, checkSentences } from "./check-arguments.js";
import { Workspace } from "./model/workspace.js";
import { modelReader, type ReadWithProgress, throwIfAborted } from "./model-source.js";
import { batchByLength, type SentenceBatch } from "./sentence-batches.js";
import type { ModelSource } from "./sources/model-files.js";
import { parseJson } from "./sources/read-json.js";
import { readTfjsWeights, type TfjsWeightManifest } from "./tfjs-weights.js";
import { UnigramTokenizer, type UnigramVocabulary } from "./unigram-tokenizer.js";
import { UseLiteModel } from "./use-lite-model.js";
import { USE_LITE_DIM, USE_LITE_MAX_TOKENS, type UseLiteWeights, uploadUseLite } from "./use-lite-weights.js";

/** By value: importing this package touches no `GPU*` global. STORAGE | COPY_SRC | COPY_DST. */
const INPUT_USAGE = 0x0080 | 0x0004 | 0x0008;

/** At 128 tokens, 1024 rows: enough for a GPU to be busy, and little enough for a report a second without one. */
const DEFAULT_BATCH_SIZE = 8;
const MAX_BATCH_SIZE = 64;
/** Plans of the last few batch shapes are kept. Each is some twenty small uniform buffers. */
const KEPT_MODELS = 12;

export interface LoadProgress {
  /** Bytes of weights that have arrived. */
  readonly loadedBytes: number;
  readonly totalBytes: number;
}

export interface EncodeProgress {
  /** Sentences that are finished. */
  readonly done: number;
  readonly total: number;
}

export interface LoadOptions {
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: LoadProgress) => void;
}

export interface EncodeOptions {
  /** Looked at between batches. */
  readonly signal?: AbortSignal;
  /** Called after each batch. */
  readonly onProgress?: (progress: EncodeProgress) => void;
  /** Most sentences that go through the model together, from 1 to 64. Default 8. */
  readonly batchSize?: number;
}

/**
 * Universal Sentence Encoder Lite (arXiv 1803.11175) on WebGPU: sentences to vectors of 512 numbers whose dot product says
 * how alike their meanings are. English, at most 128 tokens of a sentence, weights in f32 as published for TensorFlow.js.
 *
 * ```ts
 * const encoder = await SentenceEncoder.load(ctx, "/models/use-lite/");
 * const [a, b] = await encoder.encode(["How old are you?", "What is your age?"]);
 * ```
 */
export class SentenceEncoder {
  readonly #ctx: AttentionContext;
  readonly #tokenizer: UnigramTokenizer;
  readonly #weights: UseLiteWeights;
  readonly #buffers: Workspace;
  readonly #ids: GPUBuffer;
  readonly #lengths: GPUBuffer;
  /** By batch size and padded length, the least recently used first. */
  readonly #models = new Map<string, UseLiteModel>();
  /** Settles when the batch that is running has been read: batches share their buffers. */
  #turn: Promise<unknown> = Promise.resolve();
  #destroyed = false;

  private constructor(ctx: AttentionContext, tokenizer: UnigramTokenizer, weights: UseLiteWeights) {
    this.#ctx = ctx;
    this.#tokenizer = tokenizer;
    this.#weights = weights;
    this.#buffers = new Workspace(ctx);
    const rows = MAX_BATCH_SIZE * USE_LITE_MAX_TOKENS;
    this.#ids = ctx.device.createBuffer({ label: "token ids", size: 4 * rows, usage: INPUT_USAGE });
    this.#lengths = ctx.device.createBuffer({
      label: "lengths",
      size: 4 * MAX_BATCH_SIZE,
      usage: INPUT_USAGE,
    });
  }

  /**
   * Reads `model.json`, `vocab.json` and the shards that `model.json` lists (28 MB), and uploads them. Nothing of them stays
   * in memory outside the GPU but the vocabulary.
   *
   * @param source base address that ends in "/", or a function that reads a file by its path relative to `model.json`
   * @throws AttentionError "format" for files that are missing, damaged or of another model, "aborted", "limit",
   *   "unsupported" for a wrong source, "disposed", "device-lost"
   */
  static async load(
    ctx: AttentionContext,
    source: ModelSource,
    options: LoadOptions = {},
  ): Promise<SentenceEncoder> {
    checkKnown("SentenceEncoder.load", options, ["signal", "onProgress"]);
    const { signal, onProgress } = options;
    const read = await modelReader(source);
    const [model, vocabulary] = await Promise.all([
      readJson(read, "model.json", signal),
      readJson(read, "vocab.json", signal),
    ]);
    const manifest = (model as { weightsManifest?: TfjsWeightManifest } | null)?.weightsManifest;
    const tokenizer = new UnigramTokenizer(vocabulary as UnigramVocabulary);
    const tensors = await readTfjsWeights(
      manifest as TfjsWeightManifest,
      shardReader(read, manifest as TfjsWeightManifest, signal, onProgress),
      { signal },
    );
    throwIfAborted(signal);
    const weights = uploadUseLite(ctx, tensors);
    return new SentenceEncoder(ctx, tokenizer, weights);
  }

  /** Token ids of a text, all of them; the model reads the first 128. */
  tokenize(text: string): number[] {
    return this.#tokenizer.encode(text);
  }

  /**
   * Embeddings of length 1, [512] each, in the order of the sentences. Calls may overlap: their batches take turns.
   *
   * @throws AttentionError "shape" for a wrong batch size or anything but strings, "unsupported" for an unknown option, "aborted", "disposed", "device-lost", "compile", "limit"
   */
  async encode(sentences: readonly string[], options: EncodeOptions = {}): Promise<Float32Array[]> {
    checkKnown("SentenceEncoder.encode", options, ["signal", "onProgress", "batchSize"]);
    checkSentences(sentences);
    const { signal, onProgress, batchSize = DEFAULT_BATCH_SIZE } = options;
    checkBatchSize(batchSize);
    this.#assertUsable();
    throwIfAborted(signal);
    const ids = sentences.map((sentence) => this.#tokenizer.encode(sentence).slice(0, USE_LITE_MAX_TOKENS));
    const lengths = ids.map((sentence) => sentence.length);
    const embeddings = new Array<Float32Array>(sentences.length);
    let done = 0;
    for (const batch of batchByLength(lengths, batchSize)) {
      throwIfAborted(signal);
      const rows = await this.#inTurn(() => this.#run(batch, ids));
      batch.indices.forEach((sentence, row) => {
        embeddings[sentence] = rows.slice(row * USE_LITE_DIM, (row + 1) * USE_LITE_DIM);
      });
      done += batch.indices.length;
      onProgress?.({ done, total: sentences.length });
    }
    return embeddings;
  }

  /** Frees weights, plans and activations. The context stays the application's. */
  destroy(): void {
    if (this.#destroyed) return;
    this.#destroyed = true;
    for (const model of this.#models.values()) model.destroy();
    this.#models.clear();
    this.#buffers.destroy();
    this.#weights.destroy();
    this.#ids.destroy();
    this.#lengths.destroy();
  }

  /** The embeddings of a batch, [batch, 512]. */
  async #run({ indices, tokens }: SentenceBatch, ids: readonly (readonly number[])[]): Promise<Float32Array> {
    this.#assertUsable();
    const model = await this.#model(indices.length, tokens);
    this.#assertUsable();
    // Padding is masked by length; whatever token stands there, its numbers stay finite.
    const padded = new Uint32Array(indices.length * tokens);
    indices.forEach((sentence, row) => {
      padded.set(ids[sentence]!, row * tokens);
    });
    const lengths = Uint32Array.from(indices, (sentence) => ids[sentence]!.length);
    const { device } = this.#ctx;
    device.queue.writeBuffer(this.#ids, 0, padded);
    device.queue.writeBuffer(this.#lengths, 0, lengths);
    const encoder = device.createCommandEncoder({ label: "sentence encoder" });
    const buffers = this.#buffers.use();
    try {
      model.record(encoder, buffers);
      device.queue.submit([encoder.finish()]);
      return await this.#ctx.read(buffers.view("embeddings", [indices.length, 1, 1, USE_LITE_DIM]));
    } finally {
      buffers.release();
    }
  }

  async #model(batch: number, tokens: number): Promise<UseLiteModel> {
    const key = `${batch} x ${tokens}`;
    const kept = this.#models.get(key);
    this.#models.delete(key);
    const inputs = { ids: this.#ids, lengths: this.#lengths };
    const model = kept ?? (await UseLiteModel.plan(this.#ctx, this.#weights, inputs, batch, tokens));
    if (this.#destroyed) {
      model.destroy();
      return model;
    }
    this.#models.set(key, model);
    for (const [oldest, unused] of this.#models) {
      if (this.#models.size <= KEPT_MODELS) break;
      this.#models.delete(oldest);
      unused.destroy();
    }
    return model;
  }

  #inTurn<T>(run: () => Promise<T>): Promise<T> {
    const result = this.#turn.then(run, run);
    this.#turn = result.catch(() => {});
    return result;
  }

  #assertUsable(): void {
    if (!this.#destroyed) return;
    throw new AttentionError("disposed", {
      subject: "sentence encoder",
      expected: "an encoder in use",
      got: "an encoder after destroy()",
      fix: "Load it again.",
    });
  }
}

function checkBatchSize(batchSize: number): void {
  if (Number.isInteger(batchSize) && batchSize >= 1 && batchSize <= MAX_BATCH_SIZE) return;
  throw new AttentionError("shape", {
    subject: "batchSize",
    expected: `an integer from 1 to ${MAX_BATCH_SIZE}`,
    got: String(batchSize),
    fix: `Leave it out for ${DEFAULT_BATCH_SIZE}.`,
  });
}

async function readJson(
  read: ReadWithProgress,
  path: string,
  signal: AbortSignal | undefined,
): Promise<unknown> {
  return parseJson(path, await read(path, signal));
}

/** Reads shards and adds up what arrives of them. */
function shardReader(
  read: ReadWithProgress,
  manifest: TfjsWeightManifest,
  signal: AbortSignal | undefined,
  onProgress: ((progress: LoadProgress) => void) | undefined,
): (path: string) => Promise<Uint8Array> {
  let loadedBytes = 0;
  return (path) => {
    // Only now is the manifest known to be one: `readTfjsWeights` checks it before it reads.
    const totalBytes = bytesOfManifest(manifest);
    return read(path, signal, (count) => {
      loadedBytes += count;
      onProgress?.({ loadedBytes, totalBytes });
    });
  };
}

function bytesOfManifest(manifest: TfjsWeightManifest): number {
  const bytes = manifest.flatMap((group) =>
    group.weights.map(({ shape }) => 4 * shape.reduce((a, b) => a * b, 1)),
  );
  return bytes.reduce((sum, count) => sum + count, 0);
}
