import type { PlaygroundMechanism, Values } from "../../kernels/_playground/mechanism.js";
import { create } from "../common/create.js";
import { element } from "../common/elements.js";
import { type FieldView, fieldView } from "./field-views.js";

/** Letters of a hint that need a column of some width. */
const LONG_HINT = 22;

/** The fields of one mechanism, in their groups. */
export class FieldsView {
  readonly #views: readonly FieldView[];

  constructor({ groups }: PlaygroundMechanism) {
    const views: FieldView[] = [];
    const panels = groups.map(({ title, fields }) => {
      const own = fields.map(fieldView);
      views.push(...own);
      const dense = fields.every(({ hint = "" }) => hint.length < LONG_HINT);
      const body = create(
        "div",
        { class: dense ? "field-grid dense" : "field-grid" },
        ...own.map((view) => view.element),
      );
      return create("fieldset", { class: "panel" }, create("legend", {}, title), body);
    });
    this.#views = views;
    element("fields", HTMLElement).replaceChildren(...panels);
  }

  get values(): Values {
    return Object.fromEntries(this.#views.map(({ field, value }) => [field.name, value]));
  }

  set values(values: Values) {
    for (const view of this.#views) view.value = values[view.field.name] ?? view.field.initial;
    this.showPossible();
  }

  /** Shows the fields whose toggle is on, hides the others. */
  showPossible(): void {
    const { values } = this;
    for (const { field, element: shown } of this.#views) {
      shown.hidden = field.within !== undefined && values[field.within] !== "on";
    }
  }

  /** Marks this field alone as wrong; none when undefined. */
  markInvalid(name: string | undefined): void {
    for (const view of this.#views) view.setInvalid(view.field.name === name);
  }
}
