import { create } from "../common/create.js";
import { element } from "../common/elements.js";
import type { Looked } from "./write-tasks.js";

/** Bits by which hooks have to move a distribution for its token to be marked as strongly as can be. */
const STRONGEST_SHIFT = 2;

/** The text, token by token, and the place in it that is looked at. */
export class TextView {
  readonly #section = element("text-section", HTMLElement);
  readonly #text = element("text", HTMLElement);
  readonly #place = element("place", HTMLInputElement);
  readonly #label = element("place-label", HTMLElement);
  readonly #onPlace: (place: number) => void;
  #tokens: readonly HTMLElement[] = [];

  /** @param onPlace called when the user chooses another place: it is behind so many tokens */
  constructor(onPlace: (place: number) => void) {
    this.#onPlace = onPlace;
    this.#place.addEventListener("input", () => this.#choose(this.place));
    this.#text.addEventListener("click", ({ target }) => {
      const place = this.#tokens.indexOf(target as HTMLElement);
      if (place > 0) this.#choose(place);
    });
  }

  get place(): number {
    return this.#place.valueAsNumber;
  }

  /** A prompt whose continuation comes piece by piece. */
  begin(prompt: string): void {
    this.#tokens = [];
    this.#text.replaceChildren(create("span", { class: "prompt" }, prompt));
    this.#place.disabled = true;
    this.#label.textContent = "Being written …";
    this.#section.hidden = false;
  }

  /** Nothing more comes, and what has come may not have been looked at. */
  end(): void {
    if (this.#place.disabled) this.#label.textContent = "Not looked at yet: ask what comes next";
  }

  /** Whether what is shown belongs to other settings than those of the form. */
  setOutdated(outdated: boolean): void {
    this.#text.classList.toggle("outdated", outdated);
  }

  append(text: string): void {
    this.#text.append(text);
  }

  /** All tokens, each to be chosen; the place stays where it was in the same text, and is else its end. */
  show({ tokens, promptTokens, shifts }: Looked): void {
    const isSame =
      this.#tokens
        .slice(0, -1)
        .map(({ textContent }) => textContent)
        .join("\0") === tokens.join("\0");
    const place = isSame ? this.place : tokens.length;
    const spans = tokens.map((text, n) => {
      const span = create("span", { class: n < promptTokens ? "token prompt" : "token" }, text);
      const shift = n > 0 ? shifts?.[n - 1] : undefined;
      if (shift !== undefined)
        span.style.setProperty("--shift", String(Math.min(1, shift / STRONGEST_SHIFT)));
      return span;
    });
    const end = create("span", { class: "token end", title: "the end: what comes next" }, "\u258f");
    this.#tokens = [...spans, end];
    this.#text.replaceChildren(...this.#tokens);
    element("shift-note", HTMLElement).hidden = shifts === undefined;
    this.#place.max = String(tokens.length);
    this.#place.value = String(place);
    this.#place.disabled = false;
    this.#section.hidden = false;
    this.#mark(place);
  }

  #choose(place: number): void {
    this.#mark(place);
    this.#onPlace(place);
  }

  #mark(place: number): void {
    const last = this.#tokens.length - 1;
    this.#place.value = String(place);
    for (const [n, token] of this.#tokens.entries()) token.classList.toggle("chosen", n === place);
    this.#label.textContent =
      place === last ? `Behind all ${last} tokens` : `Behind ${place} of ${last} tokens`;
  }
}
