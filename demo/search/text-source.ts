import { element } from "../common/elements.js";

/** Something the user can mend in a field of the form. */
export class Complaint extends Error {
  constructor(
    readonly field: HTMLElement,
    message: string,
  ) {
    super(message);
  }
}

const MAX_FILE_BYTES = 20e6;

/** The part of the form that says which text to search. */
export class TextSource {
  readonly #radios = [...document.querySelectorAll<HTMLInputElement>('input[name="source"]')];
  readonly #paste = element("paste", HTMLTextAreaElement);
  readonly #file = element("file", HTMLInputElement);
  #book: string | undefined;

  constructor() {
    for (const radio of this.#radios) radio.addEventListener("change", () => this.#showPanel());
    // A reload keeps the radio that was chosen.
    this.#showPanel();
  }

  /** @throws Complaint when there is nothing to search in what the user gave */
  async read(): Promise<string> {
    const text = await this.#readChosen();
    if (text.trim() !== "") return text;
    throw new Complaint(this.#chosenField(), "There is no text to search yet.");
  }

  get #chosen(): string {
    return this.#radios.find(({ checked }) => checked)?.value ?? "book";
  }

  #chosenField(): HTMLElement {
    return this.#chosen === "file" ? this.#file : this.#paste;
  }

  #showPanel(): void {
    element("paste-panel", HTMLElement).hidden = this.#chosen !== "paste";
    element("file-panel", HTMLElement).hidden = this.#chosen !== "file";
  }

  async #readChosen(): Promise<string> {
    if (this.#chosen === "paste") return this.#paste.value;
    if (this.#chosen === "file") return this.#readFile();
    this.#book ??= await fetchText(new URL("../texts/moby-dick.txt", document.baseURI));
    return this.#book;
  }

  async #readFile(): Promise<string> {
    const file = this.#file.files?.[0];
    if (file === undefined) throw new Complaint(this.#file, "Choose a text file first.");
    if (file.size > MAX_FILE_BYTES) throw new Complaint(this.#file, `${file.name} is larger than 20 MB.`);
    const text = await file.text();
    if (text.includes("\0")) throw new Complaint(this.#file, `${file.name} is no plain text file.`);
    return text;
  }
}

async function fetchText(url: URL): Promise<string> {
  const response = await fetch(url);
  if (!response.ok) throw new Error(`${url.pathname}: the server answered ${response.status}.`);
  return response.text();
}
