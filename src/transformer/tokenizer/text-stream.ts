/** What bytes that are no character become; a decoder also gives it for the beginning of a character. */
const REPLACEMENT = "\ufffd";

/** Tokens that can matter to the next one's text: a character has four bytes, and a token of the first has text before them. */
export const LOOK_BACK = 8;

/**
 * Text of tokens that arrive one by one: pieces that joined are the text of all tokens together. A character whose bytes are spread
 * over several tokens comes whole, with the last of them.
 */
export class TextStream {
  readonly #decode: (ids: readonly number[]) => string;
  /** Tokens whose text is out: the next ones' text may depend on there being some (a space that only a first word loses). */
  #before: readonly number[];
  /** Tokens since then. */
  #pending: number[] = [];
  /** Characters of the pending tokens' text that are out already. */
  #shown = 0;
  /** Whether the last character before the pending tokens is not out. */
  #isWithheld = false;

  /**
   * @param decode text of tokens; a longer list's text begins with that of a shorter one, but for a character cut off at its end
   * @param after tokens whose text these go on with, of which no more than `LOOK_BACK` matter. Default none: they begin one
   */
  constructor(decode: (ids: readonly number[]) => string, after: readonly number[] = []) {
    this.#decode = decode;
    this.#before = after;
  }

  /** The text that this token completes; empty where it ends within a character. */
  push(id: number): string {
    this.#pending.push(id);
    const text = this.#pendingText();
    const isWhole = !text.endsWith(REPLACEMENT);
    // Bytes that are cut off at the end are one replacement character, whatever their number.
    const piece = (isWhole ? text : text.slice(0, -1)).slice(this.#shown);
    this.#shown += piece.length;
    if (!isWhole && this.#pending.length <= LOOK_BACK) return piece;
    this.#isWithheld = !isWhole;
    // Bytes that are no character for so long are none; tokens without text of their own (special ones) stand for no beginning.
    if (text !== "" || this.#decode(this.#before) === "")
      this.#before = [...this.#before, ...this.#pending].slice(-LOOK_BACK);
    this.#pending = [];
    this.#shown = 0;
    return piece;
  }

  /** What is left when no token follows: bytes that never became a character, as a replacement character. */
  end(): string {
    const rest = this.#isWithheld ? REPLACEMENT : "";
    const piece = this.#pending.length > 0 ? this.#pendingText().slice(this.#shown) : rest;
    this.#isWithheld = false;
    this.#before = [];
    this.#pending = [];
    this.#shown = 0;
    return piece;
  }

  #pendingText(): string {
    if (this.#pending.length === 0) return "";
    const before = this.#decode(this.#before);
    // A text that breaks off within a character is gone on with from before it.
    const shown = before.endsWith(REPLACEMENT) ? before.length - 1 : before.length;
    return this.#decode([...this.#before, ...this.#pending]).slice(shown);
  }
}
