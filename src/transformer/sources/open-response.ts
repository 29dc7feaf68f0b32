/** A response being read, and where its next byte lies in the file. */
export class OpenResponse {
  position: number;
  readonly #reader: ReadableStreamDefaultReader<Uint8Array>;
  #rest: Uint8Array | undefined;

  constructor(response: Response, position: number) {
    if (!response.body) throw new Error("the response has no body");
    this.#reader = response.body.getReader();
    this.position = position;
  }

  /** The next piece of at most `most` bytes; undefined at the end. */
  async next(most: number): Promise<Uint8Array | undefined> {
    let piece = this.#rest;
    if (!piece) {
      const { done, value } = await this.#reader.read();
      if (done) return undefined;
      piece = value;
    }
    this.#rest = piece.byteLength > most ? piece.subarray(most) : undefined;
    const taken = piece.subarray(0, most);
    this.position += taken.byteLength;
    return taken;
  }

  async cancel(): Promise<void> {
    await this.#reader.cancel().catch(() => {});
  }
}

/** A strong ETag. A weak one, or a date, may stay while bytes change, or differ between servers that hold the same. */
export function versionOf(response: Response): string | undefined {
  const tag = response.headers.get("etag");
  return tag && !tag.startsWith("W/") ? tag : undefined;
}

/** Bytes of the whole file, where the response tells. */
export function sizeOf(response: Response): number | undefined {
  const { headers, status } = response;
  if (status === 206) return wholeNumber(headers.get("content-range")?.match(/\/\s*(\d+)\s*$/)?.[1]);
  // The length of a compressed body is not the file's.
  const encoding = headers.get("content-encoding") ?? "identity";
  return encoding === "identity" ? wholeNumber(headers.get("content-length")) : undefined;
}

export function rangeStart(response: Response): number | undefined {
  return wholeNumber(response.headers.get("content-range")?.match(/bytes\s+(\d+)-/)?.[1]);
}

function wholeNumber(text: string | null | undefined): number | undefined {
  const value = Number(text ?? Number.NaN);
  return Number.isSafeInteger(value) && value >= 0 ? value : undefined;
}
