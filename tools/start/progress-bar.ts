const WIDTH = 30;

/** A progress bar in one line of a terminal; writes nothing where the stream is none. */
export class ProgressBar {
  readonly #stream: NodeJS.WriteStream;
  #drawn = false;

  constructor(stream: NodeJS.WriteStream) {
    this.#stream = stream;
  }

  show(label: string, done: number, total: number): void {
    if (!this.#stream.isTTY) return;
    const filled = Math.round((WIDTH * done) / Math.max(1, total));
    const bar = "█".repeat(filled) + "░".repeat(WIDTH - filled);
    this.#stream.write(`\r\x1b[K${label} ${bar} ${Math.floor((100 * done) / Math.max(1, total))} %`);
    this.#drawn = true;
  }

  clear(): void {
    if (this.#drawn) this.#stream.write("\r\x1b[K");
    this.#drawn = false;
  }
}
