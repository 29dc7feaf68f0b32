/** How files are fetched. */
export interface UrlOptions {
  /** In place of the global `fetch`: a proxy, authorisation, a test. */
  readonly fetch?: typeof fetch;
  /** Sent with every request. */
  readonly headers?: Readonly<Record<string, string>>;
  /** How often one range is asked for again before giving up, without a byte in between. Default 4. */
  readonly retries?: number;
  /** Wait before the first retry, in ms; doubled each time. Default 250. */
  readonly retryDelayMs?: number;
}

/** Sends requests for ranges of one address, again where the connection or the server fails. */
export class Requests {
  readonly address: string;
  readonly retries: number;
  readonly #options: UrlOptions;

  constructor(address: string, options: UrlOptions) {
    this.address = address;
    this.retries = options.retries ?? 4;
    this.#options = options;
  }

  /** @param failures how many attempts have failed before this one */
  async send(
    begin: number,
    end: number | undefined,
    signal: AbortSignal | undefined,
    failures = 0,
  ): Promise<Response> {
    for (let failed = failures; ; failed++) {
      if (failed > 0) await this.#pause(failed, signal);
      let problem: unknown;
      try {
        const response = await this.#fetch(begin, end, signal);
        if (response.ok || [404, 410, 416].includes(response.status)) return response;
        problem = new Error(`HTTP ${response.status} ${response.statusText} for ${this.address}`);
        await response.body?.cancel();
        const passing = response.status >= 500 || response.status === 429 || response.status === 408;
        if (!passing) throw new Refused(problem);
      } catch (error) {
        if (error instanceof Refused) throw error.cause;
        signal?.throwIfAborted();
        problem = error;
      }
      if (failed >= this.retries) throw problem;
    }
  }

  #fetch(begin: number, end: number | undefined, signal: AbortSignal | undefined): Promise<Response> {
    const { fetch: own, headers } = this.#options;
    const range = end === undefined ? undefined : { Range: `bytes=${begin}-${end - 1}` };
    return (own ?? fetch)(this.address, { headers: { ...headers, ...range }, signal: signal ?? null });
  }

  async #pause(failed: number, signal: AbortSignal | undefined): Promise<void> {
    const wait = (this.#options.retryDelayMs ?? 250) * 2 ** (failed - 1);
    await new Promise<void>((resolve, reject) => {
      const stop = () => {
        clearTimeout(timer);
        reject(signal!.reason);
      };
      const timer = setTimeout(() => {
        signal?.removeEventListener("abort", stop);
        resolve();
      }, wait);
      if (signal?.aborted) stop();
      else signal?.addEventListener("abort", stop, { once: true });
    });
  }
}

/** Keeps an answer that asking again would not change apart from a failure that it might. */
class Refused extends Error {
  constructor(cause: unknown) {
    super("refused", { cause });
  }
}
