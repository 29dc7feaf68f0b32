import { element } from "./elements.js";
import { helpFor } from "./failure-help.js";
import { SearchFailure } from "./worker-messages.js";

/** The notice that says what went wrong and what to do. */
export class FailureView {
  readonly #box = element("failure", HTMLElement);
  readonly #retry = element("retry", HTMLButtonElement);

  constructor(onRetry: () => void) {
    this.#retry.addEventListener("click", onRetry);
  }

  show(error: unknown): void {
    const failure =
      error instanceof SearchFailure ? error : new SearchFailure("other", (error as Error).message);
    const help = helpFor(failure);
    if (help === undefined) return;
    element("failure-title", HTMLElement).textContent = help.title;
    element("failure-advice", HTMLElement).textContent = help.advice;
    element("failure-detail", HTMLElement).textContent = failure.message;
    this.#retry.hidden = !help.retry;
    this.#box.hidden = false;
  }

  hide(): void {
    this.#box.hidden = true;
  }
}
