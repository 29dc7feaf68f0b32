import { create } from "../common/create.js";
import { element } from "../common/elements.js";
import { visibleText } from "./visible-text.js";
import type { Expected } from "./write-tasks.js";

type Row = Expected["candidates"][number];

/** The likeliest next tokens: bars without hooks and with them, side by side. */
export class ExpectedView {
  readonly #section = element("expected", HTMLElement);
  readonly #rows = element("candidates", HTMLElement);
  readonly #note = element("expected-note", HTMLElement);

  show({ candidates, shift }: Expected): void {
    const largest = Math.max(...candidates.flatMap(({ plain, hooked = 0 }) => [plain, hooked]));
    this.#rows.replaceChildren(...candidates.map((row) => tableRow(row, largest, shift !== undefined)));
    element("hooked-head", HTMLElement).hidden = shift === undefined;
    this.#note.textContent =
      shift === undefined ? "No hook is on: switch one on to see what it changes." : changed(shift);
    this.#section.hidden = false;
  }

  hide(): void {
    this.#section.hidden = true;
  }

  /** Whether what is shown belongs to other settings than those of the form. */
  setOutdated(outdated: boolean): void {
    this.#section.classList.toggle("outdated", outdated);
  }

  /** Whether hooks that are on have seen the whole text, wherever in it one looks. */
  setSeesAhead(seesAhead: boolean): void {
    element("ahead-note", HTMLElement).hidden = !seesAhead;
  }
}

function changed(shift: number): string {
  if (shift < 0.0005) return "The hooks change nothing here.";
  return `The hooks move this distribution by ${shift.toFixed(shift < 0.1 ? 3 : 2)} bits (KL divergence).`;
}

function tableRow({ text, plain, hooked, isNext }: Row, largest: number, hasHooks: boolean): HTMLElement {
  const name = create("th", { scope: "row" }, create("code", {}, visibleText(text)));
  if (isNext) name.append(create("span", { class: "next" }, "comes next"));
  const row = create("tr", { class: isNext ? "is-next" : "" }, name, barCell(plain, largest, "plain"));
  if (hasHooks) row.append(barCell(hooked ?? 0, largest, "hooked"));
  return row;
}

function barCell(share: number, largest: number, kind: string): HTMLElement {
  const bar = create("span", { class: `bar ${kind}`, "aria-hidden": "true" });
  bar.style.setProperty("--share", `${(100 * share) / largest}%`);
  return create(
    "td",
    {},
    create("span", { class: "bar-line" }, bar, create("span", { class: "value" }, percent(share))),
  );
}

function percent(share: number): string {
  if (share > 0 && share < 0.0005) return "< 0.1 %";
  return `${(100 * share).toFixed(1)} %`;
}
