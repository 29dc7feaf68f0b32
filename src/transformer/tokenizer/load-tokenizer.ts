import { AttentionError } from "webgpu-attention";
import { checkKnown } from "../check-arguments.js";
import { show } from "../show.js";
import {
  MODEL_FILES_OPTIONS,
  type ModelFiles,
  type ModelFilesOptions,
  type ModelSource,
  modelFiles,
} from "../sources/model-files.js";
import { OpenedFiles } from "../sources/opened-files.js";
import { parseJson } from "../sources/read-json.js";
import { isRefusal } from "../sources/source-errors.js";
import { readGgufHeader } from "../weights/gguf.js";
import { type ChatTemplate, chatTemplate } from "./chat-template.js";
import { describeGgufTokenizer, type TokenizerFiles } from "./gguf/describe.js";
import { TextTokenizer, type TokenizerBackend } from "./text-tokenizer.js";

export interface LoadTokenizerOptions extends ModelFilesOptions {
  /** Whether a chat template is loaded where there is one (with `@huggingface/jinja`). Default true. */
  readonly chat?: boolean;
  readonly signal?: AbortSignal;
}

/** Those of the largest vocabularies are some 40 MB. */
const MOST_TOKENIZER_BYTES = 2 ** 28;
/** Kinds of `model` that `@huggingface/tokenizers` knows. Others it takes for a vocabulary of its oldest files, without a word. */
const MODEL_TYPES = ["BPE", "WordPiece", "Unigram"];

const OPTIONS = ["chat", "signal", ...MODEL_FILES_OPTIONS];

/**
 * Loads a model's `tokenizer.json` with `@huggingface/tokenizers`, and its chat template: of `chat_template.jinja` or
 * `tokenizer_config.json`. Beside a GGUF file they come first; where there is no `tokenizer.json`, the tokenizer within is read (with
 * `@huggingface/gguf`).
 *
 * @throws AttentionError "format" for files that are missing or damaged, "unsupported" without one of these packages, or for a tokenizer
 *   of a kind that is not known; "limit" for files larger than any tokenizer; "aborted". Without `@huggingface/jinja`, or with a template that it cannot read, only conversations are
 *   refused
 */
export async function loadTokenizer(
  source: ModelSource,
  options: LoadTokenizerOptions = {},
): Promise<TextTokenizer> {
  checkKnown("loadTokenizer", options, OPTIONS);
  const { chat = true, signal } = options;
  const tokenizer = await readTokenizer(await modelFiles(source, options), chat, signal);
  if (tokenizer) return tokenizer;
  throw noTokenizer();
}

/** The tokenizer that a model comes with. */
export interface OwnTokenizer {
  /** Undefined where it has none, or one that cannot be read: such models run on token ids. */
  readonly tokenizer: TextTokenizer | undefined;
  /** Why what it has cannot be read: a missing package, a kind that is not known, or a server that refuses access. */
  readonly refusal?: AttentionError;
}

/** @throws AttentionError "format" for damaged files, "aborted" */
export async function loadOwnTokenizer(files: ModelFiles, signal?: AbortSignal): Promise<OwnTokenizer> {
  try {
    return { tokenizer: await readTokenizer(files, true, signal) };
  } catch (error) {
    const isHarmless = error instanceof AttentionError && (error.code === "unsupported" || isRefusal(error));
    if (!isHarmless) throw error;
    return { tokenizer: undefined, refusal: error };
  }
}

/** Undefined where there is none. */
async function readTokenizer(
  files: ModelFiles,
  chat: boolean,
  signal: AbortSignal | undefined,
): Promise<TextTokenizer | undefined> {
  const opened = new OpenedFiles(files, {}, signal);
  try {
    const described = await describeTokenizer(opened, signal);
    if (!described) return undefined;
    const { name, json, config } = described;
    const backend = await makeTokenizer(name, json, config);
    return new TextTokenizer(backend, chat ? await loadTemplate(opened, config) : undefined);
  } finally {
    await opened.close();
  }
}

interface NamedTokenizer extends TokenizerFiles {
  /** Of the file, in messages. */
  readonly name: string;
}

async function describeTokenizer(
  opened: OpenedFiles,
  signal: AbortSignal | undefined,
): Promise<NamedTokenizer | undefined> {
  const { single } = opened;
  const bytes = await opened.read("tokenizer.json", MOST_TOKENIZER_BYTES).catch((error: unknown) => {
    // A signature of one file; whether that one can be opened shows next.
    if (single !== undefined && isRefusal(error)) return undefined;
    throw error;
  });
  if (bytes) {
    const json = parseJson("tokenizer.json", bytes) as object;
    return { name: "tokenizer.json", json, config: await readObject(opened, "tokenizer_config.json") };
  }
  const source = single === undefined ? undefined : await opened.open(single);
  if (!source) return undefined;
  const { metadata } = await readGgufHeader(source, signal);
  return { name: source.name, ...describeGgufTokenizer(source.name, metadata) };
}

function noTokenizer(): AttentionError {
  return new AttentionError("format", {
    subject: "tokenizer.json",
    expected: "the model's tokenizer",
    got: "no such file",
    fix: "Place it beside the weights.",
  });
}

async function readObject(opened: OpenedFiles, path: string): Promise<Record<string, unknown>> {
  const bytes = await opened.readOptional(path);
  const parsed = bytes ? parseJson(path, bytes) : {};
  if (typeof parsed === "object" && parsed !== null && !Array.isArray(parsed)) {
    return parsed as Record<string, unknown>;
  }
  throw new AttentionError("format", {
    subject: path,
    expected: "a JSON object",
    got: Array.isArray(parsed) ? "a list" : show(parsed),
    fix: "Download the file again.",
  });
}

async function makeTokenizer(name: string, json: object, config: object): Promise<TokenizerBackend> {
  const { Tokenizer } = await tokenizers();
  checkModelType(name, json);
  try {
    return new Tokenizer(json, config);
  } catch (cause) {
    const message = cause instanceof Error ? cause.message : String(cause);
    throw new AttentionError(/^Unknown .+ type/.test(message) ? "unsupported" : "format", {
      subject: name,
      expected: "a tokenizer of Hugging Face's format",
      got: `the error "${message}"`,
      fix: "Download the file again, or check that it is of a kind that @huggingface/tokenizers knows.",
      cause,
    });
  }
}

/** The oldest files do not say; what else is wrong with a file is the package's to find. */
function checkModelType(name: string, json: object): void {
  const { type } = ((json as { model?: unknown } | null)?.model ?? {}) as { type?: unknown };
  if (type === undefined || type === null || MODEL_TYPES.includes(type as string)) return;
  throw new AttentionError("unsupported", {
    subject: `${name} model.type`,
    expected: MODEL_TYPES.map((known) => `"${known}"`).join(", "),
    got: show(type),
    fix: "Give the model token ids, or convert its tokenizer to one of these kinds.",
  });
}

async function tokenizers(): Promise<typeof import("@huggingface/tokenizers")> {
  try {
    return await import("@huggingface/tokenizers");
  } catch (cause) {
    throw new AttentionError("unsupported", {
      subject: "tokenizer.json",
      expected: "the package @huggingface/tokenizers, which reads it",
      got: `the error "${cause}"`,
      fix: "Install it: npm install @huggingface/tokenizers.",
      cause,
    });
  }
}

/** A file of its own in newer models; before, a text in the configuration, or several with names. */
async function loadTemplate(
  opened: OpenedFiles,
  config: Readonly<Record<string, unknown>>,
): Promise<ChatTemplate | undefined> {
  const own = await opened.readOptional("chat_template.jinja");
  const text = own ? new TextDecoder().decode(own) : defaultTemplate(config.chat_template);
  return text === undefined ? undefined : chatTemplate(text, specialTokens(config));
}

function defaultTemplate(template: unknown): string | undefined {
  if (typeof template === "string") return template;
  const named = Array.isArray(template) ? template : [];
  const found: unknown = named.find((one) => one?.name === "default")?.template;
  return typeof found === "string" ? found : undefined;
}

/** `bos_token` and others, as texts or as descriptions of tokens. */
function specialTokens(config: Readonly<Record<string, unknown>>): Record<string, string> {
  const tokens: Record<string, string> = {};
  for (const [name, value] of Object.entries(config)) {
    if (!/^[a-z]+_token$/.test(name)) continue;
    const text =
      typeof value === "object" && value !== null ? (value as { content?: unknown }).content : value;
    if (typeof text === "string") tokens[name] = text;
  }
  return tokens;
}
