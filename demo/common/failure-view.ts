import { bringIntoView } from "./bring-into-view.js";
import { element } from "./elements.js";
import { type FailureHelp, helpFor } from "./failure-help.js";
import { PageFailure } from "./page-failure.js";

/** The notice that says what went wrong and what to do. */
export class FailureView {
  readonly #box = element("failure", HTMLElement);
  readonly #retry = element("retry", HTMLButtonElement);
  readonly #other: FailureHelp;

  /** @param other what to say about a failure that is not the device's */
  constructor(onRetry: () => void, other: FailureHelp) {
    this.#other = other;
    this.#retry.addEventListener("click", onRetry);
  }

  /** @returns its title; `undefined` where the user cancelled and is told nothing */
  show(error: unknown): string | undefined {
    const code = error instanceof PageFailure ? error.code : "other";
    const help = helpFor(code, this.#other);
    if (help === undefined) return undefined;
    element("failure-title", HTMLElement).textContent = help.title;
    element("failure-advice", HTMLElement).textContent = help.advice;
    element("failure-detail", HTMLElement).textContent = (error as Error).message;
    this.#retry.hidden = !help.retry;
    this.#box.hidden = false;
    bringIntoView(this.#box);
    return help.title;
  }

  hide(): void {
    this.#box.hidden = true;
  }
}
