import { create } from "./create.js";
import { changeableHeads, type HeadPlace, hasPattern, type LayerHeads } from "./heads.js";

const MOVES: Readonly<Record<string, readonly [layers: number, heads: number]>> = {
  ArrowUp: [-1, 0],
  ArrowDown: [1, 0],
  ArrowLeft: [0, -1],
  ArrowRight: [0, 1],
};

/** Layers by heads, to choose heads from. One stop of the tab key; arrow keys move within, space and enter choose. */
export class HeadGrid {
  readonly element: HTMLElement;
  readonly #cells = create("div", { class: "cells", role: "group" });
  readonly #onChange: () => void;
  #buttons = new Map<string, HTMLButtonElement>();
  #layers: readonly LayerHeads[] = [];

  /** @param label what is done to the heads chosen here, for screen readers */
  constructor(label: string, onChange: () => void) {
    this.#onChange = onChange;
    this.#cells.setAttribute("aria-label", label);
    this.#cells.addEventListener("keydown", (event) => this.#move(event));
    const action = (text: string, chosen: boolean) => {
      const button = create("button", { type: "button", class: "small" }, text);
      button.addEventListener("click", () => this.#choose(changeableHeads(this.#layers), chosen));
      return button;
    };
    const actions = create("div", { class: "actions" }, action("All", true), action("None", false));
    this.element = create("div", { class: "head-grid" }, this.#cells, actions);
  }

  get heads(): HeadPlace[] {
    return changeableHeads(this.#layers).filter((place) => isPressed(this.#button(place)));
  }

  /** Shows a model's heads, these of them chosen. */
  show(layers: readonly LayerHeads[], chosen: readonly HeadPlace[]): void {
    this.#layers = layers;
    this.#buttons = new Map();
    this.#cells.replaceChildren(...layers.map((layer, index) => this.#row(layer, index)));
    for (const place of chosen) press(this.#button(place), true);
    const first = [...this.#buttons.values()][0];
    if (first) first.tabIndex = 0;
  }

  #row(layer: LayerHeads, index: number): HTMLElement {
    const name = `layer ${index}`;
    if (!hasPattern(layer)) {
      return create(
        "div",
        { class: "row soft" },
        name,
        create("span", {}, `${layer.mechanism}: no pattern to change`),
      );
    }
    const places = Array.from({ length: layer.heads }, (_, head) => ({ layer: index, head }));
    const whole = create("button", { type: "button", class: "layer", tabindex: "-1" }, name);
    whole.setAttribute("aria-label", `All heads of ${name}`);
    whole.addEventListener("click", () => {
      this.#choose(places, !places.every((place) => isPressed(this.#button(place))));
    });
    return create("div", { class: "row" }, whole, ...places.map((place) => this.#cell(place)));
  }

  #cell(place: HeadPlace): HTMLButtonElement {
    const { layer, head } = place;
    const cell = create("button", { type: "button", class: "cell", tabindex: "-1" }, String(head));
    cell.setAttribute("aria-label", `layer ${layer}, head ${head}`);
    press(cell, false);
    cell.addEventListener("click", () => this.#choose([place], !isPressed(cell)));
    cell.addEventListener("focus", () => {
      for (const other of this.#buttons.values()) other.tabIndex = other === cell ? 0 : -1;
    });
    this.#buttons.set(`${layer}.${head}`, cell);
    return cell;
  }

  #choose(places: readonly HeadPlace[], chosen: boolean): void {
    for (const place of places) press(this.#button(place), chosen);
    this.#onChange();
  }

  #move(event: KeyboardEvent): void {
    const by = MOVES[event.key];
    const at = [...this.#buttons].find(([, button]) => button === document.activeElement)?.[0];
    if (!by || at === undefined) return;
    event.preventDefault();
    const [layer, head] = at.split(".").map(Number) as [number, number];
    // Layers without heads to choose are stepped over.
    for (let next = layer + by[0]; next >= 0 && next < this.#layers.length; next += by[0]) {
      const button = this.#buttons.get(`${next}.${head + by[1]}`);
      button?.focus();
      if (button || by[0] === 0) return;
    }
  }

  #button({ layer, head }: HeadPlace): HTMLButtonElement {
    return this.#buttons.get(`${layer}.${head}`)!;
  }
}

function press(button: HTMLButtonElement, pressed: boolean): void {
  button.setAttribute("aria-pressed", String(pressed));
}

function isPressed(button: HTMLButtonElement): boolean {
  return button.getAttribute("aria-pressed") === "true";
}
