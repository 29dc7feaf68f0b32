import { element } from "./elements.js";

/** The bar with its label. The label is no live region: it changes too often to be read out. */
export class ProgressView {
  readonly #box = element("progress", HTMLElement);
  readonly #label = element("progress-label", HTMLElement);
  readonly #bar = element("progress-bar", HTMLProgressElement);

  /** Something under way whose length is unknown. */
  begin(label: string): void {
    this.#label.textContent = label;
    this.#bar.removeAttribute("value");
    this.#box.hidden = false;
  }

  show(label: string, done: number, total: number): void {
    this.#label.textContent = label;
    this.#bar.max = total;
    this.#bar.value = done;
    this.#box.hidden = false;
  }

  hide(): void {
    this.#box.hidden = true;
  }
}
