import { type Ranked, rank, similarityMatrix } from "./ranking.js";

/** All that a search needs of an encoder. */
export interface Encoder {
  encode(
    sentences: readonly string[],
    options: { signal?: AbortSignal | undefined; onProgress?: (done: number, total: number) => void },
  ): Promise<Float32Array[]>;
}

export interface SearchOptions {
  readonly top: number;
  readonly signal?: AbortSignal;
  /** `done` of `total` texts (passages and query) have embeddings; those of earlier searches count as done. */
  readonly onProgress?: (done: number, total: number) => void;
}

export interface SearchResult {
  /** Best first; `index` is the position in the passages that were searched. */
  readonly ranking: readonly Ranked[];
  /** Similarity of the query (first) and the ranked passages to each other, [1 + n, 1 + n]. */
  readonly similarities: readonly (readonly number[])[];
  /** Texts that this search had to embed, and how long that took. */
  readonly encoded: number;
  readonly milliseconds: number;
}

/** Small enough that a cancelled search keeps most of its work, large enough to fill an encoder's batch. */
const SLICE = 32;

/** Searches passages by meaning and remembers every embedding, so that a second query to the same text costs one sentence. */
export class SearchSession {
  readonly #encoder: Encoder;
  readonly #embeddings = new Map<string, Float32Array>();

  constructor(encoder: Encoder) {
    this.#encoder = encoder;
  }

  /**
   * @throws Error when the encoder gives something that is no embedding; whatever the encoder throws, also when cancelled.
   */
  async search(passages: readonly string[], query: string, options: SearchOptions): Promise<SearchResult> {
    const started = performance.now();
    const encoded = await this.#encodeMissing([query, ...passages], options);
    const milliseconds = performance.now() - started;
    const embeddings = passages.map((passage) => this.#embeddings.get(passage)!);
    const queryEmbedding = this.#embeddings.get(query)!;
    const ranking = rank(queryEmbedding, embeddings, options.top);
    const compared = [queryEmbedding, ...ranking.map(({ index }) => embeddings[index]!)];
    return { ranking, similarities: similarityMatrix(compared), encoded, milliseconds };
  }

  async #encodeMissing(texts: readonly string[], { signal, onProgress }: SearchOptions): Promise<number> {
    const wanted = new Set(texts);
    const missing = [...wanted].filter((text) => !this.#embeddings.has(text));
    const known = wanted.size - missing.length;
    for (let start = 0; start < missing.length; start += SLICE) {
      const slice = missing.slice(start, start + SLICE);
      const embeddings = await this.#encoder.encode(slice, {
        signal,
        onProgress: (done) => onProgress?.(known + start + done, wanted.size),
      });
      for (const [i, text] of slice.entries()) this.#embeddings.set(text, checked(embeddings[i], text));
      onProgress?.(known + start + slice.length, wanted.size);
    }
    return missing.length;
  }
}

function checked(embedding: Float32Array | undefined, text: string): Float32Array {
  if (embedding?.every(Number.isFinite)) return embedding;
  throw new Error(`The encoder gave no finite embedding for "${text.slice(0, 60)}".`);
}
