import { AttentionError } from "webgpu-attention";
import { checkKnown } from "../check-arguments.js";
import { type ChatMessage, type ChatOptions, type ChatTemplate, chatVariables } from "./chat-template.js";
import { LOOK_BACK, TextStream } from "./text-stream.js";

export interface EncodeTextOptions {
  /** Whether the tokens that open and end a text by the tokenizer's own rule are added. Default true. */
  readonly specialTokens?: boolean;
}

export interface DecodeTextOptions {
  /** Whether special tokens are written out. Default false: they give no text. */
  readonly specialTokens?: boolean;
}

export interface StreamTextOptions extends DecodeTextOptions {
  /**
   * Token ids that stand before: the text goes on with theirs, and its first word keeps a space that tokenizers drop at the beginning of a text. What
   * stands behind a special token begins one. Default none.
   */
  readonly after?: ArrayLike<number>;
}

/** What is used of `@huggingface/tokenizers`' `Tokenizer`. */
export interface TokenizerBackend {
  encode(
    text: string,
    options: { text_pair?: string | null; add_special_tokens: boolean },
  ): { ids: number[] };
  decode(
    ids: number[],
    options: { skip_special_tokens: boolean; clean_up_tokenization_spaces: boolean },
  ): string;
  token_to_id(token: string): number | undefined;
  id_to_token(id: number): string | undefined;
}

/** Text to token ids and back, by a model's `tokenizer.json`, and conversations by its chat template. */
export class TextTokenizer {
  readonly #backend: TokenizerBackend;
  readonly #chat: ChatTemplate | undefined;

  /** @internal Made by `loadTokenizer`. */
  constructor(backend: TokenizerBackend, chat?: ChatTemplate) {
    this.#backend = backend;
    this.#chat = chat;
  }

  /**
   * @param text lone surrogates count as replacement characters
   * @throws AttentionError "shape" for anything but a string, "unsupported" for an unknown option
   */
  encode(text: string, options: EncodeTextOptions = {}): number[] {
    checkKnown("encode", options, ["specialTokens"]);
    if (typeof text !== "string") {
      throw new AttentionError("shape", {
        subject: "text",
        expected: "a string",
        got: typeof text,
        fix: "Encode texts one by one.",
      });
    }
    const { specialTokens = true } = options;
    return this.#backend.encode(wellFormed(text), { add_special_tokens: specialTokens }).ids;
  }

  /**
   * The text of token ids. Ids that the vocabulary does not have give none: models may have more rows than it has tokens.
   *
   * @throws AttentionError "shape" for anything but whole numbers from 0 on, "unsupported" for an unknown option
   */
  decode(ids: ArrayLike<number>, options: DecodeTextOptions = {}): string {
    checkKnown("decode", options, ["specialTokens"]);
    const known = Array.from(ids).filter((id, place) => this.#isKnown(id, place));
    if (known.length === 0) return "";
    const { specialTokens = false } = options;
    // Spaces stay as the model wrote them: a text that is decoded in pieces must not change behind its end.
    const plain = { skip_special_tokens: !specialTokens, clean_up_tokenization_spaces: false };
    return this.#backend.decode(known, plain);
  }

  /** Decodes tokens one by one, never showing half a character. */
  stream({ after = [], ...options }: StreamTextOptions = {}): TextStream {
    checkKnown("stream", options, ["specialTokens"]);
    const before = Array.from(after).slice(-LOOK_BACK);
    const special = before.findLastIndex((id, place) => this.#isSpecial(id, place));
    return new TextStream((ids) => this.decode(ids, options), before.slice(special + 1));
  }

  /** The id of a token by its spelling in the vocabulary: `"<|im_end|>"`. */
  idOf(token: string): number | undefined {
    return this.#backend.token_to_id(token);
  }

  /** Whether the model came with a chat template. */
  get hasChatTemplate(): boolean {
    return this.#chat !== undefined;
  }

  /**
   * A conversation as the text that the model was trained to continue.
   *
   * @throws AttentionError "unsupported" without a chat template or `@huggingface/jinja`, "shape" for messages that are none, "format" when the template refuses
   *   them, or cannot be read
   */
  chatText(messages: readonly ChatMessage[], options: ChatOptions = {}): string {
    if (!this.#chat) {
      throw new AttentionError("unsupported", {
        subject: "chat",
        expected: "a model whose tokenizer_config.json has a chat_template",
        got: "none",
        fix: "Write the prompt as a text, or take a model that was trained on conversations.",
      });
    }
    return this.#chat.render(chatVariables(messages, options));
  }

  /** Token ids of `chatText`: the template writes the special tokens itself. */
  encodeChat(messages: readonly ChatMessage[], options: ChatOptions = {}): number[] {
    return this.encode(this.chatText(messages, options), { specialTokens: false });
  }

  /** Unlike a token of a space alone, which has no text at the beginning either, a special one does where it is written out. */
  #isSpecial(id: number, place: number): boolean {
    if (!this.#isKnown(id, place)) return false;
    return this.decode([id]) === "" && this.decode([id], { specialTokens: true }) !== "";
  }

  #isKnown(id: number, place: number): boolean {
    if (Number.isSafeInteger(id) && id >= 0) return this.#backend.id_to_token(id) !== undefined;
    throw new AttentionError("shape", {
      subject: `ids[${place}]`,
      expected: "a token id: a whole number from 0 on",
      got: String(id),
      fix: "Decode what encode or a model gave.",
    });
  }
}

/** Half of a surrogate pair stands for no character, and different runtimes do different things with it. */
function wellFormed(text: string): string {
  return text.replace(/[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g, "\ufffd");
}
