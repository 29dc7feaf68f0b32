import { create } from "../common/create.js";
import { element } from "../common/elements.js";
import type { Values } from "../common/hash-values.js";
import { HeadGrid } from "../common/head-grid.js";
import { changeableHeads, type HeadPlace, headsValue, type LayerHeads, readHeads } from "../common/heads.js";
import { HOOK_KINDS, type HookChoice, type HookKind } from "./hook-kinds.js";

/** Values that a fresh page has, by names such as `mask`, `mask.heads` and `mask.into`. */
export const INITIAL_HOOKS: Values = Object.fromEntries(
  HOOK_KINDS.flatMap(({ name, fields }) => [
    [name, ""],
    // Empty for the kind's own choice, which depends on the model.
    [`${name}.heads`, ""],
    ...fields.map((field) => [`${name}.${field.name}`, field.initial]),
  ]),
);

/** The hooks that can be switched on, each with its words, numbers and heads. */
export class HooksView {
  readonly #panels: readonly HookPanel[];

  constructor(onChange: () => void) {
    this.#panels = HOOK_KINDS.map((kind) => new HookPanel(kind, onChange));
    element("hooks", HTMLElement).replaceChildren(...this.#panels.map((panel) => panel.element));
  }

  get values(): Values {
    return Object.assign({}, ...this.#panels.map((panel) => panel.values));
  }

  /** What is switched on, with at least one head. */
  get choices(): HookChoice[] {
    return this.#panels.flatMap((panel) => panel.choice ?? []);
  }

  /** Shows values for the heads of a model. */
  show(values: Values, layers: readonly LayerHeads[]): void {
    const isPossible = changeableHeads(layers).length > 0;
    for (const panel of this.#panels) panel.show(values, layers);
    element("hooks-note", HTMLElement).hidden = isPossible;
    element("hooks", HTMLFieldSetElement).disabled = !isPossible;
  }
}

class HookPanel {
  readonly element: HTMLElement;
  readonly #kind: HookKind;
  readonly #switch: HTMLInputElement;
  readonly #details: HTMLElement;
  readonly #grid: HeadGrid;
  readonly #inputs: ReadonlyMap<string, HTMLInputElement | HTMLSelectElement>;
  #layers: readonly LayerHeads[] = [];
  /** As values last had them. */
  #askedHeads = "";

  constructor(kind: HookKind, onChange: () => void) {
    const { name, title, summary, paper, fields } = kind;
    this.#kind = kind;
    this.#switch = create("input", { type: "checkbox", id: `hook-${name}` });
    this.#grid = new HeadGrid(title, onChange);
    this.#inputs = new Map(fields.map((field) => [field.name, inputOf(kind, field)]));
    const link = create("a", { href: `https://arxiv.org/abs/${paper.arxiv}` }, paper.title);
    this.#details = create(
      "div",
      { class: "details" },
      create(
        "div",
        { class: "field-grid" },
        ...fields.map(({ name: field, label }) => labelled(label, this.#inputs.get(field)!)),
      ),
      this.#grid.element,
    );
    this.element = create(
      "section",
      { class: "hook" },
      create("label", { class: "switch" }, this.#switch, title),
      create("p", { class: "hint" }, `${summary} `, link),
      this.#details,
    );
    const changed = () => {
      this.#details.hidden = !this.#switch.checked;
      onChange();
    };
    this.#switch.addEventListener("change", changed);
    for (const input of this.#inputs.values()) input.addEventListener("change", changed);
  }

  get values(): Values {
    const { name } = this.#kind;
    const own = [...this.#inputs].map(([field, input]) => [`${name}.${field}`, input.value]);
    return {
      ...Object.fromEntries(own),
      [name]: this.#switch.checked ? "on" : "",
      [`${name}.heads`]: this.#headsValue,
    };
  }

  get choice(): HookChoice | undefined {
    const { heads } = this.#grid;
    if (!this.#switch.checked || heads.length === 0) return undefined;
    const values = Object.fromEntries([...this.#inputs].map(([field, input]) => [field, input.value]));
    return { kind: this.#kind.name, heads, values };
  }

  show(values: Values, layers: readonly LayerHeads[]): void {
    const { name } = this.#kind;
    this.#layers = layers;
    this.#switch.checked = values[name] === "on";
    this.#details.hidden = !this.#switch.checked;
    for (const [field, input] of this.#inputs) input.value = values[`${name}.${field}`] ?? input.value;
    const heads = values[`${name}.heads`] ?? "";
    this.#askedHeads = heads;
    this.#grid.show(layers, heads ? readHeads(heads, layers) : this.#initialHeads);
  }

  get #headsValue(): string {
    // A model that has no heads to choose keeps what was chosen for the next.
    if (changeableHeads(this.#layers).length === 0) return this.#askedHeads;
    return headsValue(this.#grid.heads, this.#initialHeads);
  }

  /** The second layer, where there is one: in the first, heads hardly look at the text yet. */
  get #initialHeads(): HeadPlace[] {
    const all = changeableHeads(this.#layers);
    if (this.#kind.initialHeads === "all") return all;
    const [first, second = first] = [...new Set(all.map(({ layer }) => layer))];
    return all.filter(({ layer }) => layer === second);
  }
}

function inputOf(
  { name }: HookKind,
  field: HookKind["fields"][number],
): HTMLInputElement | HTMLSelectElement {
  const id = `hook-${name}-${field.name}`;
  if (field.kind === "number") {
    const { min, max, step, initial: value } = field;
    return create("input", { id, type: "number", min: `${min}`, max: `${max}`, step: `${step}`, value });
  }
  const options = field.choices.map(({ value, label }) => create("option", { value }, label));
  return create("select", { id }, ...options);
}

function labelled(label: string, input: HTMLElement): HTMLElement {
  const kind = input instanceof HTMLSelectElement ? "field wide" : "field";
  return create("div", { class: kind }, create("label", { class: "name", for: input.id }, label), input);
}
