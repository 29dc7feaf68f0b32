import type { WeightsPicture } from "../../kernels/_playground/mechanism.js";
import { create } from "../common/create.js";

/** Pixels of a cell; the page scales the canvas without smoothing. */
const CELL = 1;

const MOVES: Readonly<Record<string, readonly [row: number, column: number]>> = {
  ArrowUp: [-1, 0],
  ArrowDown: [1, 0],
  ArrowLeft: [0, -1],
  ArrowRight: [0, 1],
};

/** A heat map of attention weights. Pointing at a cell, or the arrow keys, read it out. */
export function weightsFigure(picture: WeightsPicture): HTMLElement {
  const { rows, columns, title } = picture;
  const canvas = create("canvas", {
    tabindex: "0",
    role: "img",
    "aria-label": `${title}: ${rows.length} queries by ${columns.length} columns of keys. Arrow keys read single cells.`,
  });
  canvas.width = CELL * columns.length;
  canvas.height = CELL * rows.length;
  // The single row of a decode step should still be seen, and many rows not fill the screen.
  canvas.style.aspectRatio = `1 / ${Math.max(1 / 12, Math.min(1, rows.length / columns.length))}`;
  const reading = create("p", { class: "reading soft", "aria-live": "polite" }, restingText(picture));
  let at: readonly [row: number, column: number] = [0, 0];
  const read = (row: number, column: number) => {
    at = [clamp(row, rows.length), clamp(column, columns.length)];
    reading.textContent = describe(picture, at[0], at[1]);
  };
  canvas.addEventListener("pointermove", ({ offsetX, offsetY }) =>
    read(
      Math.floor((rows.length * offsetY) / canvas.clientHeight),
      Math.floor((columns.length * offsetX) / canvas.clientWidth),
    ),
  );
  canvas.addEventListener("pointerleave", () => {
    reading.textContent = restingText(picture);
  });
  canvas.addEventListener("keydown", (event) => {
    const move = MOVES[event.key];
    if (!move) return;
    event.preventDefault();
    read(at[0] + move[0], at[1] + move[1]);
  });
  draw(canvas, picture);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => draw(canvas, picture));
  return create(
    "figure",
    { class: "weights", "aria-label": title },
    create("figcaption", {}, create("h2", {}, title)),
    create(
      "div",
      { class: "map" },
      create("span", { class: "axis queries", "aria-hidden": "true" }, "queries"),
      canvas,
      create("span", { class: "axis keys", "aria-hidden": "true" }, "keys"),
    ),
    reading,
  );
}

function draw(canvas: HTMLCanvasElement, { values, columns }: WeightsPicture): void {
  const context = canvas.getContext("2d")!;
  const style = getComputedStyle(document.documentElement);
  const [low, high] = [style.getPropertyValue("--heat-low"), style.getPropertyValue("--heat-high")];
  const largest = values.reduce((max, value) => Math.max(max, value), 0) || 1;
  context.clearRect(0, 0, canvas.width, canvas.height);
  values.forEach((value, index) => {
    // Nothing at all is left blank: a masked key differs from one with a small weight.
    if (value === 0) return;
    const share = 100 * Math.sqrt(value / largest);
    context.fillStyle = `color-mix(in oklab, ${high} ${share}%, ${low})`;
    context.fillRect(CELL * (index % columns.length), CELL * Math.floor(index / columns.length), CELL, CELL);
  });
}

function restingText({ rows, columns }: WeightsPicture): string {
  return `${rows[0]} to ${rows.at(-1)}, ${columns[0]} to ${columns.at(-1)}; stronger is more, blank is hidden.`;
}

function describe({ rows, columns, values }: WeightsPicture, row: number, column: number): string {
  const weight = values[row * columns.length + column]!;
  return `${rows[row]}, ${columns[column]}: ${weight === 0 ? "0" : weight.toPrecision(3)}`;
}

function clamp(position: number, size: number): number {
  return Math.max(0, Math.min(size - 1, position));
}
