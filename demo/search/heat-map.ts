import { element } from "../common/elements.js";
import { type Cell, cellAt, fractionOf, neighbour, valueRange } from "./heat-map-layout.js";

/** Space for the labels at the top and the left, in CSS pixels. */
const MARGIN = 24;
/** Cells narrower than this, in CSS pixels, show no number. */
const NUMBER_WIDTH = 30;

/** The similarity map on its canvas. Position 0 is the query, the others are the results by rank. */
export class HeatMap {
  readonly #canvas = element("map", HTMLCanvasElement);
  readonly #readout = element("map-cell", HTMLElement);
  readonly #onPoint: (cell: Cell | undefined) => void;
  #matrix: readonly (readonly number[])[] = [];
  #pointed: Cell | undefined;

  /** @param onPoint told the cell that the user points at, by mouse, finger or keyboard */
  constructor(onPoint: (cell: Cell | undefined) => void) {
    this.#onPoint = onPoint;
    this.#canvas.addEventListener("pointermove", (event) => this.#point(this.#cellUnder(event)));
    this.#canvas.addEventListener("pointerdown", (event) => this.#point(this.#cellUnder(event)));
    this.#canvas.addEventListener("pointerleave", () => this.#point(undefined));
    this.#canvas.addEventListener("blur", () => this.#point(undefined));
    this.#canvas.addEventListener("keydown", (event) => this.#step(event));
    new ResizeObserver(() => this.#draw()).observe(this.#canvas);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.#draw());
  }

  show(matrix: readonly (readonly number[])[]): void {
    this.#matrix = matrix;
    const { low, high } = valueRange(matrix);
    element("map-low", HTMLElement).textContent = low.toFixed(2);
    element("map-high", HTMLElement).textContent = high.toFixed(2);
    const count = matrix.length - 1;
    this.#canvas.setAttribute(
      "aria-label",
      `Similarity of the query and ${count} passages to each other, from ${low.toFixed(2)} to ${high.toFixed(2)}`,
    );
    this.#point(undefined);
    this.#draw();
  }

  #cellUnder(event: PointerEvent): Cell | undefined {
    const { left, top, width } = this.#canvas.getBoundingClientRect();
    return cellAt(event.clientX - left, event.clientY - top, this.#matrix.length, width, MARGIN);
  }

  #step(event: KeyboardEvent): void {
    const from = this.#pointed ?? { row: 0, column: 0 };
    const cell = neighbour(from, event.key, this.#matrix.length);
    if (cell === undefined) return;
    event.preventDefault();
    this.#point(cell);
  }

  #point(cell: Cell | undefined): void {
    if (cell?.row === this.#pointed?.row && cell?.column === this.#pointed?.column) return;
    this.#pointed = cell;
    this.#readout.textContent = cell === undefined ? "" : this.#describe(cell);
    this.#onPoint(cell);
    this.#draw();
  }

  #describe({ row, column }: Cell): string {
    const name = (position: number) => (position === 0 ? "the query" : `passage ${position}`);
    if (row === column) return `${name(row)} and itself: 1`.replace(/^./, (first) => first.toUpperCase());
    const text = `${name(Math.min(row, column))} and ${name(Math.max(row, column))}: ${this.#matrix[row]![column]!.toFixed(3)}`;
    return text.replace(/^./, (first) => first.toUpperCase());
  }

  #draw(): void {
    const size = this.#canvas.clientWidth;
    const n = this.#matrix.length;
    if (size === 0 || n === 0) return;
    const scale = devicePixelRatio;
    this.#canvas.width = this.#canvas.height = Math.round(size * scale);
    const context = this.#canvas.getContext("2d")!;
    context.scale(scale, scale);
    context.textAlign = "center";
    context.textBaseline = "middle";
    const side = (size - MARGIN) / n;
    this.#drawLabels(context, side);
    const range = valueRange(this.#matrix);
    for (const [row, values] of this.#matrix.entries()) {
      for (const [column, value] of values.entries()) {
        this.#drawCell(context, { row, column }, side, value, fractionOf(value, range));
      }
    }
    if (this.#pointed !== undefined) this.#drawFrame(context, this.#pointed, side);
  }

  #drawLabels(context: CanvasRenderingContext2D, side: number): void {
    context.font = `600 13px ${this.#style("--sans")}`;
    for (let i = 0; i < this.#matrix.length; i++) {
      const pointed = i === this.#pointed?.row || i === this.#pointed?.column;
      context.fillStyle = this.#style(pointed ? "--accent" : "--ink-soft");
      const label = i === 0 ? "Q" : String(i);
      const middle = MARGIN + (i + 0.5) * side;
      context.fillText(label, middle, MARGIN / 2);
      context.fillText(label, MARGIN / 2, middle);
    }
  }

  #drawCell(
    context: CanvasRenderingContext2D,
    cell: Cell,
    side: number,
    value: number,
    fraction: number,
  ): void {
    const x = MARGIN + cell.column * side;
    const y = MARGIN + cell.row * side;
    const high = `${(fraction * 100).toFixed(1)}%`;
    context.fillStyle = `color-mix(in oklab, ${this.#style("--heat-high")} ${high}, ${this.#style("--heat-low")})`;
    context.fillRect(x, y, side - 1, side - 1);
    if (side < NUMBER_WIDTH || cell.row === cell.column) return;
    context.font = `12px ${this.#style("--sans")}`;
    context.fillStyle = this.#style(fraction > 0.5 ? "--accent-ink" : "--ink");
    context.fillText(value.toFixed(2), x + side / 2, y + side / 2);
  }

  #drawFrame(context: CanvasRenderingContext2D, { row, column }: Cell, side: number): void {
    context.lineWidth = 2;
    context.strokeStyle = this.#style("--ink");
    context.strokeRect(MARGIN + column * side, MARGIN + row * side, side - 1, side - 1);
  }

  #style(property: string): string {
    return getComputedStyle(this.#canvas).getPropertyValue(property);
  }
}
