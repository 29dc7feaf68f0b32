import { AttentionError } from "webgpu-attention";
import { Fields } from "../../config/fields.js";
import { show } from "../../show.js";
import { mergesOfScores } from "./pieces.js";
import { SPLIT_OF_ARCHITECTURE, SPLITS, type Split } from "./splits.js";

/** A tokenizer as `tokenizer.json` and `tokenizer_config.json` describe it. */
export interface TokenizerFiles {
  readonly json: object;
  readonly config: Readonly<Record<string, unknown>>;
}

/** `tokenizer.ggml.token_type` of llama.cpp; 1 is a normal one. */
const UNKNOWN = 2;
const CONTROL = 3;
const USER_DEFINED = 4;
const NORMAL = 1;

/** Spaces within pieces. */
const MARK = "\u2581";

/**
 * The tokenizer that a GGUF file has in its pairs: byte-level merges (`gpt2`), or SentencePiece's scores with bytes for what no piece
 * has (`llama`).
 *
 * @throws AttentionError "unsupported" for another kind, or a file without one; "format" for damaged pairs
 */
export function describeGgufTokenizer(file: string, metadata: unknown): TokenizerFiles {
  const fields = new Fields(file, metadata);
  const kind = fields.has("tokenizer.ggml.tokens") ? fields.string("tokenizer.ggml.model", "none") : "none";
  if (kind !== "gpt2" && kind !== "llama") {
    throw unsupported(`${file} tokenizer.ggml.model`, '"gpt2" or "llama"', show(kind));
  }
  const tokens = strings(fields, "tokenizer.ggml.tokens");
  const types = numbers(fields, "tokenizer.ggml.token_type", tokens.length, NORMAL);
  const isSpecial = (id: number) => types[id] === CONTROL || types[id] === UNKNOWN;
  const added = tokens.flatMap((content, id) =>
    content !== "" && (isSpecial(id) || types[id] === USER_DEFINED)
      ? [{ id, content, special: isSpecial(id), ...PLAIN_TOKEN }]
      : [],
  );
  const vocab = Object.fromEntries(tokens.map((token, id) => [token, id]));
  const isNormal = (id: number) => types[id] === NORMAL;
  const parts = kind === "gpt2" ? byteLevel(fields, vocab) : pieces(fields, tokens, vocab, isNormal);
  const special = specialTokens(fields, tokens);
  return {
    json: {
      ...{ version: "1.0", truncation: null, padding: null, added_tokens: added, ...parts.json },
      post_processor: ends(fields, special, parts.begins),
    },
    config: {
      ...special,
      ...(fields.has("tokenizer.chat_template") && {
        chat_template: fields.string("tokenizer.chat_template"),
      }),
    },
  };
}

const PLAIN_TOKEN = { single_word: false, lstrip: false, rstrip: false, normalized: false };

/** What differs between the two kinds. */
interface Parts {
  readonly json: object;
  /** Whether texts begin with the begin token where the file does not say. */
  readonly begins: boolean;
}

const PLAIN_BPE = {
  ...{ type: "BPE", dropout: null, continuing_subword_prefix: null, end_of_word_suffix: null },
};

function byteLevel(fields: Fields, vocab: object): Parts {
  const split = splitOf(fields);
  const merges = strings(fields, "tokenizer.ggml.merges").map((merge) => {
    const pair = merge.split(" ");
    if (pair.length === 2) return pair;
    throw fields.wrong("tokenizer.ggml.merges", "two parts of a token with a space between");
  });
  const model = { ...PLAIN_BPE, unk_token: null, fuse_unk: false, byte_fallback: false };
  return {
    json: {
      normalizer: split.normalizer,
      pre_tokenizer: split.preTokenizer,
      model: { ...model, ignore_merges: split.wholeWords, vocab, merges },
      decoder: { type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: false },
    },
    begins: split.begins,
  };
}

function splitOf(fields: Fields): Split {
  const written = fields.string("tokenizer.ggml.pre", "default");
  const architecture = fields.string("general.architecture", "");
  const own = Object.hasOwn(SPLIT_OF_ARCHITECTURE, architecture)
    ? SPLIT_OF_ARCHITECTURE[architecture]!
    : written;
  const name = written === "default" ? own : written;
  if (Object.hasOwn(SPLITS, name)) return SPLITS[name]!;
  throw unsupported(`${fields.file} tokenizer.ggml.pre`, Object.keys(SPLITS).join(", "), show(written));
}

function pieces(
  fields: Fields,
  tokens: readonly string[],
  vocab: object,
  isNormal: (id: number) => boolean,
): Parts {
  const scores = numbers(fields, "tokenizer.ggml.scores", tokens.length);
  const normal = tokens.flatMap((token, id): [string, number][] =>
    isNormal(id) ? [[token, scores[id]!]] : [],
  );
  const [unknown] = fields.ids("tokenizer.ggml.unknown_token_id");
  const begins = fields.boolean("tokenizer.ggml.add_space_prefix", true);
  const spaces = { type: "Replace", pattern: { String: " " }, content: MARK };
  const model = {
    ...PLAIN_BPE,
    unk_token: tokens[unknown ?? 0] ?? null,
    fuse_unk: true,
    byte_fallback: true,
  };
  return {
    json: {
      normalizer: {
        type: "Sequence",
        normalizers: [...(begins ? [{ type: "Prepend", prepend: MARK }] : []), spaces],
      },
      pre_tokenizer: null,
      model: { ...model, ignore_merges: false, vocab, merges: mergesOfScores(fields.file, new Map(normal)) },
      decoder: {
        type: "Sequence",
        decoders: [
          { type: "Replace", pattern: { String: MARK }, content: " " },
          { type: "ByteFallback" },
          { type: "Fuse" },
          ...(begins ? [{ type: "Strip", content: " ", start: 1, stop: 0 }] : []),
        ],
      },
    },
    begins: true,
  };
}

/** `bos_token` and others by their spelling, as chat templates want them. */
function specialTokens(fields: Fields, tokens: readonly string[]): Record<string, string> {
  const names = { bos: "bos", eos: "eos", unk: "unknown", pad: "padding" };
  const found = Object.entries(names).flatMap(([short, long]) => {
    const [id] = fields.ids(`tokenizer.ggml.${long}_token_id`);
    if (id === undefined) return [];
    if (tokens[id] === undefined)
      throw fields.wrong(`tokenizer.ggml.${long}_token_id`, `below ${tokens.length}`);
    return [[`${short}_token`, tokens[id]]];
  });
  return Object.fromEntries(found);
}

/** The tokens that open and end a text. */
function ends(fields: Fields, special: Readonly<Record<string, string>>, begins: boolean): object | null {
  const opening = fields.boolean("tokenizer.ggml.add_bos_token", begins) ? special.bos_token : undefined;
  const closing = fields.boolean("tokenizer.ggml.add_eos_token", false) ? special.eos_token : undefined;
  const used = [opening, closing].filter((token) => token !== undefined);
  if (used.length === 0) return null;
  const token = (text: string | undefined, type: number) =>
    text === undefined ? [] : [{ SpecialToken: { id: text, type_id: type } }];
  const sequence = (id: "A" | "B", type: number) => [
    ...token(opening, type),
    { Sequence: { id, type_id: type } },
    ...token(closing, type),
  ];
  return {
    type: "TemplateProcessing",
    single: sequence("A", 0),
    pair: [...sequence("A", 0), ...sequence("B", 1)],
    special_tokens: Object.fromEntries(used.map((text) => [text, { id: text, ids: [], tokens: [text] }])),
  };
}

function strings(fields: Fields, name: string): readonly string[] {
  const values = fields.list(name);
  if (values.length > 0 && values.every((value) => typeof value === "string")) return values as string[];
  throw fields.wrong(name, "a list of strings");
}

/** A number for each token; without a fallback the list must be there. */
function numbers(fields: Fields, name: string, count: number, fallback?: number): readonly number[] {
  if (fallback !== undefined && !fields.has(name)) return Array<number>(count).fill(fallback);
  return fields.numbers(name, count);
}

function unsupported(subject: string, expected: string, got: string): AttentionError {
  return new AttentionError("unsupported", {
    ...{ subject, expected, got },
    fix: "Place the tokenizer.json of the model that the GGUF file was converted from beside it, or among the chosen files.",
  });
}
