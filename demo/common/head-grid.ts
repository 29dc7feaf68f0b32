import { create } from "./create.js";
import { type GridPlace, stepFrom } from "./grid-steps.js";
import { changeableHeads, type HeadPlace, hasPattern, type LayerHeads } from "./heads.js";

/** A button with its place: the layer is its row, and the one for the whole layer stands before head 0. */
interface Stop extends GridPlace {
  readonly button: HTMLButtonElement;
}

const WHOLE_LAYER = -1;

/** Layers by heads, to choose heads from. One stop of the tab key; arrow keys move within, space and enter choose. */
export class HeadGrid {
  readonly element: HTMLElement;
  readonly #cells = create("div", { class: "cells", role: "group" });
  readonly #onChange: () => void;
  #stops: Stop[] = [];
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
    this.#stops = [];
    this.#cells.replaceChildren(...layers.map((layer, index) => this.#row(layer, index)));
    for (const place of chosen) press(this.#button(place), true);
    const first = this.#stops.find(({ column }) => column !== WHOLE_LAYER);
    if (first) first.button.tabIndex = 0;
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
    const whole = this.#stop({ row: index, column: WHOLE_LAYER }, "layer", name, `All heads of ${name}`);
    whole.addEventListener("click", () => {
      this.#choose(places, !places.every((place) => isPressed(this.#button(place))));
    });
    return create("div", { class: "row" }, whole, ...places.map((place) => this.#cell(place)));
  }

  #cell(place: HeadPlace): HTMLButtonElement {
    const { layer, head } = place;
    const name = `layer ${layer}, head ${head}`;
    const cell = this.#stop({ row: layer, column: head }, "cell", String(head), name);
    press(cell, false);
    cell.addEventListener("click", () => this.#choose([place], !isPressed(cell)));
    return cell;
  }

  #stop(place: GridPlace, kind: "layer" | "cell", text: string, name: string): HTMLButtonElement {
    const button = create(
      "button",
      { type: "button", class: kind, tabindex: "-1", "aria-label": name },
      text,
    );
    button.addEventListener("focus", () => {
      for (const { button: other } of this.#stops) other.tabIndex = other === button ? 0 : -1;
    });
    this.#stops.push({ ...place, button });
    return button;
  }

  #choose(places: readonly HeadPlace[], chosen: boolean): void {
    for (const place of places) press(this.#button(place), chosen);
    this.#onChange();
  }

  #move(event: KeyboardEvent): void {
    const at = this.#stops.find(({ button }) => button === document.activeElement);
    if (!at || !event.key.startsWith("Arrow")) return;
    event.preventDefault();
    stepFrom(at, event.key, this.#stops)?.button.focus();
  }

  #button({ layer, head }: HeadPlace): HTMLButtonElement {
    return this.#stops.find(({ row, column }) => row === layer && column === head)!.button;
  }
}

function press(button: HTMLButtonElement, pressed: boolean): void {
  button.setAttribute("aria-pressed", String(pressed));
}

function isPressed(button: HTMLButtonElement): boolean {
  return button.getAttribute("aria-pressed") === "true";
}
