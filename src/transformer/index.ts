/** Models built on the attention of this package, with what they need around it: readers, tokenizers, layers. */
export type { ModelSource, ReadModelFile } from "./model-source.js";
export {
  type EncodeOptions,
  type EncodeProgress,
  type LoadOptions,
  type LoadProgress,
  SentenceEncoder,
} from "./sentence-encoder.js";
