/** Compiled things by key; those that were used longest ago go first. */
export class ForwardCache<Value extends { destroy(): void }> {
  readonly #limit: number;
  readonly #entries = new Map<string, Promise<Value>>();

  constructor(limit: number) {
    this.#limit = limit;
  }

  /** @param make is asked once for a key, also where several ask at the same time */
  async get(key: string, make: () => Promise<Value>): Promise<Value> {
    const found = this.#entries.get(key);
    if (found) {
      this.#entries.delete(key);
      this.#entries.set(key, found);
      return found;
    }
    const made = make();
    this.#entries.set(key, made);
    made.catch(() => this.#entries.delete(key));
    const value = await made;
    for (const [oldest, entry] of this.#entries) {
      if (this.#entries.size <= this.#limit) break;
      this.#entries.delete(oldest);
      entry.then((old) => old.destroy()).catch(() => {});
    }
    return value;
  }

  destroy(): void {
    for (const entry of this.#entries.values()) entry.then((value) => value.destroy()).catch(() => {});
    this.#entries.clear();
  }
}
