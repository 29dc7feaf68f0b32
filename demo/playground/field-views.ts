import type { Choice, Field } from "../../kernels/_playground/mechanism.js";
import { create } from "../common/create.js";

/** A field on the page. */
export interface FieldView {
  readonly field: Field;
  readonly element: HTMLElement;
  value: string;
  /** Marks what the last error was about. */
  setInvalid(invalid: boolean): void;
}

export function fieldView(field: Field): FieldView {
  switch (field.kind) {
    case "toggle":
      return toggleView(field);
    case "choice":
      return choiceView(field, field.choices);
    case "set":
      return setView(field, field.choices);
    default:
      return textView(field, field.placeholder, field.kind === "number");
  }
}

/** Letters of a choice that take the whole width. */
const WIDE = 30;

const idOf = ({ name }: Field) => `field-${name.replace(/\W/g, "-")}`;

function hintOf(field: Field): HTMLElement[] {
  return field.hint ? [create("span", { class: "hint", id: `${idOf(field)}-hint` }, field.hint)] : [];
}

const describedBy = (field: Field) => field.hint && `${idOf(field)}-hint`;

function textView(field: Field, placeholder: string | undefined, number: boolean): FieldView {
  const input = create("input", {
    id: idOf(field),
    type: "text",
    inputmode: number ? "decimal" : undefined,
    spellcheck: "false",
    placeholder,
    "aria-describedby": describedBy(field),
  });
  return labelled(field, input, "field");
}

function choiceView(field: Field, choices: readonly Choice[]): FieldView {
  const select = create("select", { id: idOf(field), "aria-describedby": describedBy(field) });
  select.append(...choices.map(({ value, label }) => create("option", { value }, label)));
  const wide = choices.some(({ label }) => label.length > WIDE);
  return labelled(field, select, wide ? "field wide" : "field");
}

function labelled(field: Field, control: HTMLInputElement | HTMLSelectElement, kind: string): FieldView {
  const label = create("label", { for: control.id, class: "name" }, field.label);
  const element = create("div", { class: kind }, label, control, ...hintOf(field));
  return {
    field,
    element,
    get value() {
      return control.value;
    },
    set value(value) {
      control.value = value;
    },
    setInvalid: (invalid) => markInvalid(control, invalid),
  };
}

function toggleView(field: Field): FieldView {
  const input = create("input", {
    id: idOf(field),
    type: "checkbox",
    "aria-describedby": describedBy(field),
  });
  const label = create("label", { for: input.id }, input, create("span", { class: "name" }, field.label));
  return {
    field,
    element: create("div", { class: "toggle" }, label, ...hintOf(field)),
    get value() {
      return input.checked ? "on" : "";
    },
    set value(value) {
      input.checked = value === "on";
    },
    setInvalid: (invalid) => markInvalid(input, invalid),
  };
}

function setView(field: Field, choices: readonly Choice[]): FieldView {
  const boxes = choices.map(({ value }) => create("input", { type: "checkbox", value }));
  const labels = boxes.map((box, index) => create("label", {}, box, choices[index]!.label));
  const legend = create("legend", { class: "name" }, field.label);
  const element = create("fieldset", { class: "set", "aria-describedby": describedBy(field) });
  element.append(legend, create("div", { class: "choices" }, ...labels), ...hintOf(field));
  return {
    field,
    element,
    get value() {
      return boxes
        .filter(({ checked }) => checked)
        .map(({ value }) => value)
        .join(" ");
    },
    set value(value) {
      const members = new Set(value.split(" "));
      for (const box of boxes) box.checked = members.has(box.value);
    },
    setInvalid: (invalid) => markInvalid(boxes[0]!, invalid),
  };
}

function markInvalid(control: HTMLElement, invalid: boolean): void {
  if (invalid) control.setAttribute("aria-invalid", "true");
  else control.removeAttribute("aria-invalid");
}
