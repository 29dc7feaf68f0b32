/** A compiled thing in use: it stays until `release()`, whatever else the cache makes room for. */
export interface Lease<Value> {
  readonly value: Value;
  release(): void;
}

interface Entry<Value> {
  readonly made: Promise<Value>;
  users: number;
}

/** Compiled things by key. Beyond a limit, those that nobody uses and that were used longest ago go first. */
export class ForwardCache<Value extends { destroy(): void }> {
  readonly #limit: number;
  readonly #entries = new Map<string, Entry<Value>>();
  #destroyed = false;

  constructor(limit: number) {
    this.#limit = limit;
  }

  /** @param make is asked once for a key, also where several ask at the same time */
  async lease(key: string, make: () => Promise<Value>): Promise<Lease<Value>> {
    const entry = this.#entries.get(key) ?? { made: make(), users: 0 };
    // The newest stand last.
    this.#entries.delete(key);
    this.#entries.set(key, entry);
    entry.users++;
    try {
      const value = await entry.made;
      let released = false;
      const release = () => {
        if (released) return;
        released = true;
        entry.users--;
        this.#trim();
      };
      return { value, release };
    } catch (error) {
      if (this.#entries.get(key) === entry) this.#entries.delete(key);
      throw error;
    }
  }

  /** A lease for as long as `use` takes. */
  async with<Result>(
    key: string,
    make: () => Promise<Value>,
    use: (value: Value) => Result | Promise<Result>,
  ): Promise<Result> {
    const { value, release } = await this.lease(key, make);
    try {
      return await use(value);
    } finally {
      release();
    }
  }

  /** What is in use goes with its last lease. */
  destroy(): void {
    this.#destroyed = true;
    this.#trim();
  }

  #trim(): void {
    for (const [key, entry] of this.#entries) {
      if (!this.#destroyed && this.#entries.size <= this.#limit) return;
      if (entry.users > 0) continue;
      this.#entries.delete(key);
      entry.made.then((value) => value.destroy()).catch(() => {});
    }
  }
}
