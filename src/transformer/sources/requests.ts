import { stalled } from "./open-response.js";

/** How files are fetched. */
export interface UrlOptions {
  /** In place of the global `fetch`: a proxy, authorisation, a test. */
  readonly fetch?: typeof fetch;
  /** Sent with every request. */
  readonly headers?: Readonly<Record<string, string>>;
  /** How often one range is asked for again before giving up, without a byte in between. Default 4. */
  readonly retries?: number;
  /** Wait before the first retry, in ms; doubled each time, up to 30 s. A server's Retry-After counts where it is longer, up to 60 s. Default 250. */
  readonly retryDelayMs?: number;
  /** How long to wait for a server's next byte, in ms, before the connection counts as broken. Default 30,000. */
  readonly stallMs?: number;
}

/** The names of `UrlOptions`. */
export const URL_OPTIONS = ["fetch", "headers", "retries", "retryDelayMs", "stallMs"];

const LONGEST_PAUSE_MS = 30_000;
const LONGEST_RETRY_AFTER_MS = 60_000;

/** Failures in a row, of requests and of the bodies of their responses alike; a byte that comes sets them back. */
export interface Attempts {
  failed: number;
}

/** An answer that says no. */
export class HttpError extends Error {
  readonly status: number;

  constructor(response: Response, address: string) {
    super(`HTTP ${response.status} ${response.statusText} for ${address}`);
    this.status = response.status;
  }

  /** Whether the same request may be answered another time. */
  get isPassing(): boolean {
    return this.status >= 500 || this.status === 429 || this.status === 408;
  }

  /** Whether access is refused. Stores that do not list their files say this of files that they do not have, too. */
  get isRefusal(): boolean {
    return this.status === 401 || this.status === 403;
  }
}

/** Sends requests for ranges of one address, again where the connection or the server fails. */
export class Requests {
  readonly address: string;
  readonly retries: number;
  readonly stallMs: number;
  readonly #options: UrlOptions;

  constructor(address: string, options: UrlOptions) {
    this.address = address;
    this.retries = options.retries ?? 4;
    this.stallMs = options.stallMs ?? 30_000;
    this.#options = options;
  }

  /**
   * @param end undefined: to the file's end
   * @returns a response that is ok, or says that there is no such file or range (404, 410, 416)
   * @throws HttpError, or what the connection failed with, after the last attempt
   */
  async send(
    begin: number,
    end: number | undefined,
    signal: AbortSignal | undefined,
    attempts: Attempts = { failed: 0 },
  ): Promise<Response> {
    for (let leastMs = 0; ; ) {
      if (attempts.failed > 0) await this.#pause(attempts.failed, leastMs, signal);
      let problem: unknown;
      try {
        const response = await this.#fetch(begin, end, signal);
        if (response.ok || [404, 410, 416].includes(response.status)) return response;
        problem = new HttpError(response, this.address);
        leastMs = retryAfterMs(response);
        void response.body?.cancel().catch(() => {});
      } catch (error) {
        signal?.throwIfAborted();
        problem = error;
        leastMs = 0;
      }
      if (problem instanceof HttpError && !problem.isPassing) throw problem;
      if (++attempts.failed > this.retries) throw problem;
    }
  }

  async #fetch(begin: number, end: number | undefined, signal: AbortSignal | undefined): Promise<Response> {
    const { fetch: own, headers } = this.#options;
    const stop = new AbortController();
    const answered = new AbortController();
    try {
      const response = (own ?? fetch)(this.address, {
        headers: { ...headers, Range: `bytes=${begin}-${end === undefined ? "" : end - 1}` },
        // The caller's signal ends the body, too, whenever it fires.
        signal: signal ? AbortSignal.any([signal, stop.signal]) : stop.signal,
      });
      return await Promise.race([response, stalled(this.stallMs, answered.signal)]);
    } catch (error) {
      stop.abort(error);
      throw error;
    } finally {
      answered.abort();
    }
  }

  async #pause(failed: number, leastMs: number, signal: AbortSignal | undefined): Promise<void> {
    const doubled = (this.#options.retryDelayMs ?? 250) * 2 ** (failed - 1);
    await waitFor(Math.max(Math.min(doubled, LONGEST_PAUSE_MS), leastMs), signal);
  }
}

async function waitFor(ms: number, signal: AbortSignal | undefined): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    const stop = () => {
      clearTimeout(timer);
      reject(signal!.reason);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", stop);
      resolve();
    }, ms);
    if (signal?.aborted) stop();
    else signal?.addEventListener("abort", stop, { once: true });
  });
}

/** What a busy server asks for: seconds, or a date. */
function retryAfterMs({ headers }: Response): number {
  const text = headers.get("retry-after");
  if (text === null) return 0;
  const ms = /^\d+$/.test(text) ? 1000 * Number(text) : Date.parse(text) - Date.now();
  return Math.min(Math.max(ms || 0, 0), LONGEST_RETRY_AFTER_MS);
}
