import { AttentionError } from "webgpu-attention";
import { checkKnown } from "../check-arguments.js";
import { show } from "../show.js";
import {
  MODEL_FILES_OPTIONS,
  type ModelFilesOptions,
  type ModelSource,
  modelFiles,
} from "../sources/model-files.js";
import { OpenedFiles } from "../sources/opened-files.js";
import { parseJson } from "../sources/read-json.js";
import { type ChatTemplate, chatTemplate } from "./chat-template.js";
import { TextTokenizer, type TokenizerBackend } from "./text-tokenizer.js";

export interface LoadTokenizerOptions extends ModelFilesOptions {
  /** Whether a chat template is loaded where there is one (with `@huggingface/jinja`). Default true. */
  readonly chat?: boolean;
  readonly signal?: AbortSignal;
}

const OPTIONS = ["chat", "signal", ...MODEL_FILES_OPTIONS];

/**
 * Loads a model's `tokenizer.json` with `@huggingface/tokenizers`, and its chat template: of `chat_template.jinja` or
 * `tokenizer_config.json`. Of a GGUF file, the three are looked for beside it; the tokenizer within is not read.
 *
 * @throws AttentionError "format" for files that are missing or damaged, "unsupported" without one of the packages, or for a GGUF file
 *   without a `tokenizer.json`; "aborted"
 */
export async function loadTokenizer(
  source: ModelSource,
  options: LoadTokenizerOptions = {},
): Promise<TextTokenizer> {
  checkKnown("loadTokenizer", options, OPTIONS);
  const { chat = true, signal } = options;
  const opened = new OpenedFiles(await modelFiles(source, options), {}, signal);
  try {
    const json = await opened.read("tokenizer.json");
    if (!json) throw noTokenizer(opened.single);
    const described = await readObject(opened, "tokenizer_config.json");
    const backend = await makeTokenizer(parseJson("tokenizer.json", json), described);
    const template = chat ? await loadTemplate(opened, described) : undefined;
    return new TextTokenizer(backend, template);
  } finally {
    await opened.close();
  }
}

function noTokenizer(single: string | undefined): AttentionError {
  const expected = "the model's tokenizer";
  if (single === undefined) {
    const fix = "Place it beside the weights.";
    return new AttentionError("format", { subject: "tokenizer.json", expected, got: "no such file", fix });
  }
  return new AttentionError("unsupported", {
    subject: `tokenizer of ${single}`,
    expected: "a tokenizer.json beside the file, or among the chosen files",
    got: "none",
    fix: "Take tokenizer.json from the model that the GGUF file was converted from.",
  });
}

async function readObject(opened: OpenedFiles, path: string): Promise<Record<string, unknown>> {
  const bytes = await opened.read(path);
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

async function makeTokenizer(json: unknown, config: object): Promise<TokenizerBackend> {
  const { Tokenizer } = await tokenizers();
  try {
    return new Tokenizer(json as object, config);
  } catch (cause) {
    throw new AttentionError("format", {
      subject: "tokenizer.json",
      expected: "a tokenizer of Hugging Face's format",
      got: `the error "${cause instanceof Error ? cause.message : cause}"`,
      fix: "Download the file again, or check that it is of a kind that @huggingface/tokenizers knows.",
      cause,
    });
  }
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
  const own = await opened.read("chat_template.jinja");
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
