import { create } from "../common/create.js";
import { element } from "../common/elements.js";
import type { Samples, Verdict } from "./diffusion-tasks.js";
import { rgbaOf } from "./pixels.js";

/** The images, each with what was asked for and what the classifier takes it for. */
export class SamplesView {
  readonly #list = element("samples", HTMLElement);
  readonly #classes: readonly string[];

  constructor(classes: readonly string[]) {
    this.#classes = classes;
  }

  show({ size, channels, pixels, verdicts }: Samples, labels: readonly (number | null)[]): void {
    const each = channels * size ** 2;
    this.#list.replaceChildren(
      ...labels.map((label, n) => {
        const image = rgbaOf(pixels.subarray(n * each, (n + 1) * each), channels);
        return this.#item(new ImageData(image, size, size), label, verdicts?.[n]);
      }),
    );
    this.setOutdated(false);
  }

  /** Whether what is shown belongs to other settings than those of the form. */
  setOutdated(outdated: boolean): void {
    this.#list.classList.toggle("outdated", outdated);
  }

  #item(image: ImageData, label: number | null, verdict: Verdict | undefined): HTMLElement {
    const asked = label === null ? "a sample of no class" : `a sample of ${this.#classes[label]}`;
    const canvas = create("canvas", { role: "img", "aria-label": asked });
    canvas.width = image.width;
    canvas.height = image.height;
    canvas.getContext("2d")!.putImageData(image, 0, 0);
    return create("li", { class: "sample" }, canvas, ...(verdict ? [this.#verdict(label, verdict)] : []));
  }

  #verdict(label: number | null, verdict: Verdict): HTMLElement {
    const found = this.#classes[verdict.label] ?? `class ${verdict.label}`;
    const isOther = label !== null && label !== verdict.label;
    const words = create(
      "p",
      { class: isOther ? "verdict other" : "verdict" },
      create("strong", {}, found),
      ` ${Math.round(100 * verdict.confidence)}\u00a0%`,
    );
    if (isOther) words.append(create("span", { class: "soft" }, ` asked: ${this.#classes[label]}`));
    return words;
  }
}
