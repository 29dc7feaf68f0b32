import { create } from "../common/create.js";
import { element } from "../common/elements.js";
import { tokens } from "./highlight.js";

const CONFIRMED_MS = 2000;

/** The program that does the same, and the buttons that copy it and the link. */
export class CodeView {
  readonly #code = element("code", HTMLElement);

  constructor(linkOf: () => string) {
    copies(element("copy-code", HTMLButtonElement), () => this.#code.textContent ?? "");
    copies(element("copy-link", HTMLButtonElement), linkOf);
  }

  show(code: string): void {
    if (code === this.#code.textContent) return;
    const parts = tokens(code).map(({ kind, text }) =>
      kind === "plain" ? text : create("span", { class: kind }, text),
    );
    this.#code.replaceChildren(...parts);
  }
}

function copies(button: HTMLButtonElement, text: () => string): void {
  const name = button.textContent;
  let timer: ReturnType<typeof setTimeout> | undefined;
  button.addEventListener("click", async () => {
    // Refused without a secure address, and where the user said so.
    const copied = await navigator.clipboard?.writeText(text()).then(
      () => true,
      () => false,
    );
    button.textContent = copied ? "Copied" : "Not allowed";
    clearTimeout(timer);
    timer = setTimeout(() => {
      button.textContent = name;
    }, CONFIRMED_MS);
  });
}
