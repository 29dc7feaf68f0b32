/** Models built on the attention of this package, with what they need around it: readers, tokenizers, layers. */
export type {
  AgentConfig,
  AttentionConfig,
  DiffusionConfig,
  FlowConfig,
  HeadConfig,
  ImageConfig,
  LayerConfig,
  LightningConfig,
  MlpConfig,
  ModelConfig,
  MohConfig,
  NormConfig,
  PositionsConfig,
  SaleConfig,
  SoftmaxConfig,
  TokensConfig,
} from "./config/model-config.js";
export {
  type RopeConfig,
  type RopeScaling,
  type RopeTable,
  ropeDependsOnLength,
  ropeTable,
} from "./config/rope.js";
export { DiffusionModel, type SampleOptions } from "./diffusion-model.js";
export type { Candidate } from "./generation/candidates.js";
export type { CacheOptions, GeneratedPiece, GenerateOptions } from "./generation/options.js";
export type { Prompt } from "./generation/prompts.js";
export type { VerifyOptions } from "./generation/verify.js";
export { type ClassifyOptions, ImageModel, type ImageResult } from "./image-model.js";
export { LanguageModel, type PassOptions, type PrefillOptions } from "./language-model.js";
export { type Checkpoint, type LoadCheckpointOptions, loadCheckpoint } from "./load-checkpoint.js";
export type { CacheWindow } from "./model/cache-window.js";
export type { PassDescription } from "./model/describe-pass.js";
export type { EncoderOutput } from "./model/encoder-outputs.js";
export type {
  CacheDType,
  KeyValueCache,
  LayerState,
  RecurrentState,
  StateOptions,
} from "./model/layer-state.js";
export type { LogitsOf } from "./model/read-tokens.js";
export { type SequenceEntry, SequenceState } from "./model/sequence-state.js";
export type { StepCost } from "./model/step-list.js";
export {
  type EncodeOptions,
  type EncodeProgress,
  type LoadOptions,
  type LoadProgress,
  SentenceEncoder,
} from "./sentence-encoder.js";
export type { ByteSource } from "./sources/byte-source.js";
export type { PieceCache } from "./sources/cached-source.js";
export type { ModelFiles, ModelFilesOptions, ModelSource, ReadModelFile } from "./sources/model-files.js";
export type { UrlOptions } from "./sources/requests.js";
export { type EncodedTokens, type EncodeTokensOptions, TextEncoderModel } from "./text-encoder.js";
export type { ChatMessage, ChatOptions } from "./tokenizer/chat-template.js";
export { type LoadTokenizerOptions, loadTokenizer } from "./tokenizer/load-tokenizer.js";
export type { TextStream } from "./tokenizer/text-stream.js";
export type {
  DecodeTextOptions,
  EncodeTextOptions,
  StreamTextOptions,
  TextTokenizer,
} from "./tokenizer/text-tokenizer.js";
export type { WeightProgress } from "./weights/load-weights.js";
export type { LoadTimes, ModelWeights } from "./weights/model-weights.js";
export type { WeightChoice, WeightChoices } from "./weights/plan-slots.js";
