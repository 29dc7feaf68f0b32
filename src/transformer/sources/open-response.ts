/** A response being read, and where its next byte lies in the file. */
export class OpenResponse {
  position: number;
  readonly #reader: ReadableStreamDefaultReader<Uint8Array> | undefined;
  readonly #stallMs: number;
  #rest: Uint8Array | undefined;

  /**
   * @param position of the response's first byte in the file
   * @param stallMs how long to wait for a next byte
   */
  constructor(response: Response, position: number, stallMs: number) {
    this.#reader = response.body?.getReader();
    this.position = position;
    this.#stallMs = stallMs;
  }

  /**
   * The next piece of at most `most` bytes; undefined at the end.
   *
   * @throws whatever broke the connection, or an Error where nothing has come for too long
   */
  async next(most = Number.POSITIVE_INFINITY): Promise<Uint8Array | undefined> {
    let piece = this.#rest;
    if (!piece) {
      const read = await this.#read();
      if (!read || read.done) return undefined;
      piece = read.value;
    }
    this.#rest = piece.byteLength > most ? piece.subarray(most) : undefined;
    const taken = piece.subarray(0, most);
    this.position += taken.byteLength;
    return taken;
  }

  async cancel(): Promise<void> {
    await this.#reader?.cancel().catch(() => {});
  }

  /** Time that the reader spends on what has come does not count: only waiting does. */
  async #read(): Promise<ReadableStreamReadResult<Uint8Array> | undefined> {
    const stop = new AbortController();
    const ended = stalled(this.#stallMs, stop.signal);
    try {
      return await Promise.race([this.#reader?.read(), ended]);
    } catch (error) {
      void this.cancel();
      throw error;
    } finally {
      stop.abort();
    }
  }
}

/** Timers do not take longer ones. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

/** Rejects after so long, unless it is stopped before: then it never settles. */
export function stalled(ms: number, stop: AbortSignal): Promise<never> {
  return new Promise((_resolve, reject) => {
    if (ms > LONGEST_TIMER_MS) return;
    const timer = setTimeout(() => reject(new Error(`nothing came for ${ms} ms`)), ms);
    stop.addEventListener("abort", () => clearTimeout(timer), { once: true });
  });
}

/** Bytes of the whole file, where the response tells. */
export function sizeOf(response: Response): number | undefined {
  const { headers, status } = response;
  if (status === 206 || status === 416)
    return wholeNumber(headers.get("content-range")?.match(/\/\s*(\d+)\s*$/)?.[1]);
  return lengthOf(response);
}

/** Bytes of the response's own body, where it tells. The length of a compressed body is not the file's. */
export function lengthOf({ headers }: Response): number | undefined {
  const encoding = headers.get("content-encoding") ?? "identity";
  return encoding === "identity" ? wholeNumber(headers.get("content-length")) : undefined;
}

/** The first byte of a 206's range, and the one after its last; undefined where the server does not show them. */
export function rangeOf({ headers }: Response): { readonly begin: number; readonly end: number } | undefined {
  const [, first, last] = headers.get("content-range")?.match(/bytes\s+(\d+)-(\d+)/) ?? [];
  const [begin, end] = [wholeNumber(first), wholeNumber(last)];
  return begin === undefined || end === undefined ? undefined : { begin, end: end + 1 };
}

function wholeNumber(text: string | null | undefined): number | undefined {
  const value = Number(text ?? Number.NaN);
  return Number.isSafeInteger(value) && value >= 0 ? value : undefined;
}
