import { element } from "../common/elements.js";
import type { Passage } from "./passages.js";
import type { Ranked } from "./ranking.js";

/** The ranked passages. */
export class ResultsView {
  readonly #list = element("results", HTMLOListElement);

  show(ranking: readonly Ranked[], passages: readonly Passage[]): void {
    this.#list.replaceChildren(
      ...ranking.map(({ index, score }, i) => resultItem(i + 1, score, passages[index]!)),
    );
  }

  /** Marks these results (0 is the best), and no others. */
  point(positions: readonly number[]): void {
    for (const [i, item] of [...this.#list.children].entries())
      item.classList.toggle("pointed", positions.includes(i));
  }
}

function resultItem(number: number, score: number, passage: Passage): HTMLLIElement {
  const item = make("li", "result");
  const line = make("div", "score");
  const bar = make("span", "bar");
  bar.style.setProperty("--share", `${Math.max(0, score) * 100}%`);
  line.append(bar, make("span", "value", score.toFixed(3)));
  const { heading } = passage;
  if (heading !== undefined) line.append(make("span", "heading", heading));
  // The line above names the heading already.
  const text =
    heading !== undefined && passage.text.startsWith(heading)
      ? passage.text.slice(heading.length)
      : passage.text;
  item.append(
    make("span", "number", String(number)),
    line,
    make("blockquote", "text", text.trim() || passage.text),
  );
  return item;
}

function make<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  className: string,
  text = "",
): HTMLElementTagNameMap[K] {
  const made = document.createElement(tag);
  made.className = className;
  made.textContent = text;
  return made;
}
