/** What bytes that are no character become; a decoder also gives it for the beginning of a character. */
const REPLACEMENT = "\ufffd";

/**
 * Text of tokens that arrive one by one: pieces that joined are the text of all tokens together. A character whose bytes are spread
 * over several tokens comes whole, with the last of them.
 */
export class TextStream {
  readonly #decode: (ids: readonly number[]) => string;
  /** Tokens whose text is out: the next ones' text may depend on there being some (a space that only a first word loses). */
  #before: number[] = [];
  /** Tokens since then. */
  #pending: number[] = [];
  /** Characters of the pending tokens' text that are out already. */
  #shown = 0;

  /** @param decode text of tokens; a longer list's text begins with that of a shorter one, but for a character cut off at its end */
  constructor(decode: (ids: readonly number[]) => string) {
    this.#decode = decode;
  }

  /** The text that this token completes; empty where it ends within a character. */
  push(id: number): string {
    this.#pending.push(id);
    const text = this.#pendingText();
    const isWhole = !text.endsWith(REPLACEMENT);
    // Bytes that are cut off at the end are one replacement character, whatever their number.
    const piece = (isWhole ? text : text.slice(0, -1)).slice(this.#shown);
    this.#shown += piece.length;
    if (!isWhole) return piece;
    // Tokens without text of their own (special ones) stand for no beginning.
    this.#before = text === "" ? [...this.#before, ...this.#pending] : this.#pending;
    this.#pending = [];
    this.#shown = 0;
    return piece;
  }

  /** What is left when no token follows: bytes that never became a character, as a replacement character. */
  end(): string {
    const piece = this.#pendingText().slice(this.#shown);
    this.#before = [];
    this.#pending = [];
    this.#shown = 0;
    return piece;
  }

  #pendingText(): string {
    if (this.#pending.length === 0) return "";
    return this.#decode([...this.#before, ...this.#pending]).slice(this.#decode(this.#before).length);
  }
}
