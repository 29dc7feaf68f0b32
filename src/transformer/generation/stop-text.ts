/** Text of one sequence as it may be shown: up to the first stop text, and nothing that could still become one. */
export class StopText {
  readonly #stops: readonly string[];
  #held = "";
  /** Whether a stop text has come. */
  stopped = false;

  constructor(stops: readonly string[]) {
    this.#stops = stops.filter((stop) => stop.length > 0);
  }

  /** @returns what is certain to stand before any stop text, and has not been returned yet */
  push(text: string): string {
    if (this.stopped) return "";
    this.#held += text;
    const places = this.#stops.map((stop) => this.#held.indexOf(stop)).filter((place) => place >= 0);
    if (places.length > 0) {
      this.stopped = true;
      return this.#held.slice(0, Math.min(...places));
    }
    const kept = Math.max(0, ...this.#stops.map((stop) => overlap(this.#held, stop)));
    const shown = this.#held.slice(0, this.#held.length - kept);
    this.#held = this.#held.slice(this.#held.length - kept);
    return shown;
  }

  /** What was held back, when nothing more comes. */
  end(): string {
    const rest = this.stopped ? "" : this.#held;
    this.#held = "";
    return rest;
  }
}

/** Characters at the end of `text` that a stop text begins with. */
function overlap(text: string, stop: string): number {
  for (let length = Math.min(text.length, stop.length - 1); length > 0; length--) {
    if (text.endsWith(stop.slice(0, length))) return length;
  }
  return 0;
}
