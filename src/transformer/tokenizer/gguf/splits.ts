/** How texts are split into words before merges, by the names that `tokenizer.ggml.pre` has for it (llama.cpp, src/llama-vocab.cpp). */
export interface Split {
  /** As `tokenizer.json` describes it. */
  readonly preTokenizer: object;
  readonly normalizer: object | null;
  /** Words that the vocabulary has are not taken apart. */
  readonly wholeWords: boolean;
  /** Whether texts begin with the begin token where the file does not say. */
  readonly begins: boolean;
}

const CASES = "(?i:'s|'t|'re|'ve|'m|'ll|'d)";
const SPACES = "\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
const OTHERS = " ?[^\\s\\p{L}\\p{N}]+";
const wordsAnd = (digits: string) =>
  `${CASES}|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|${digits}|${OTHERS}[\\r\\n]*|${SPACES}`;

const UPPER = "[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]";
const LOWER = "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]";
const TEKKEN = `[^\\r\\n\\p{L}\\p{N}]?${UPPER}*${LOWER}+|[^\\r\\n\\p{L}\\p{N}]?${UPPER}+${LOWER}*|\\p{N}|${OTHERS}[\\r\\n/]*|${SPACES}`;

/** GPT-2's own pattern, which is that of the kind. */
const gpt2Words = { type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: true };
const sequence = (...pretokenizers: object[]) => ({ type: "Sequence", pretokenizers });
const byPattern = (pattern: string) =>
  sequence(
    { type: "Split", pattern: { Regex: pattern }, behavior: "Isolated", invert: false },
    { ...gpt2Words, use_regex: false },
  );

const plain = { normalizer: null, wholeWords: false, begins: false };
const gpt2: Split = { ...plain, preTokenizer: gpt2Words };
const digitByDigit: Split = {
  ...plain,
  preTokenizer: sequence({ type: "Digits", individual_digits: true }, gpt2Words),
};
const llama3: Split = {
  ...plain,
  preTokenizer: byPattern(wordsAnd("\\p{N}{1,3}")),
  wholeWords: true,
  begins: true,
};
const qwen2: Split = { ...plain, preTokenizer: byPattern(wordsAnd("\\p{N}")), normalizer: { type: "NFC" } };
const tekken: Split = { ...plain, preTokenizer: byPattern(TEKKEN), wholeWords: true, begins: true };

/** Those of models whose architecture can be loaded. */
export const SPLITS: Readonly<Record<string, Split>> = {
  "deepseek-r1-qwen": qwen2,
  falcon3: llama3,
  "gpt-2": gpt2,
  llama3,
  "llama-bpe": llama3,
  "llama-v3": llama3,
  mpt: gpt2,
  olmo: gpt2,
  qwen2,
  refact: digitByDigit,
  smollm: digitByDigit,
  starcoder: digitByDigit,
  tekken,
};

/** Of files that were written before the split was: these architectures have one. */
export const SPLIT_OF_ARCHITECTURE: Readonly<Record<string, string>> = {
  gpt2: "gpt-2",
  qwen2: "qwen2",
  qwen3: "qwen2",
};
