import type { PageFailure } from "../common/page-failure.js";
import { WorkerClient } from "../common/worker-client.js";
import type { EncoderTasks } from "./encoder-tasks.js";
import { type SearchOptions, type SearchResult, SearchSession } from "./search-session.js";

export interface EngineSearchOptions extends SearchOptions {
  /** The first search loads the model: bytes so far, of how many. */
  readonly onLoad?: (loadedBytes: number, totalBytes: number) => void;
}

/** A device, the model on it, and what it has embedded so far. */
export class SearchEngine {
  /** Resolves when the device is lost; open a new engine then. */
  readonly lost: Promise<PageFailure>;
  readonly #client: WorkerClient<EncoderTasks>;
  readonly #session: SearchSession;
  readonly #modelUrl: string;
  #loaded = false;

  private constructor(
    client: WorkerClient<EncoderTasks>,
    readonly adapter: string,
    modelUrl: string,
  ) {
    this.#client = client;
    this.#session = new SearchSession({
      encode: (sentences, { signal, onProgress }) =>
        client.ask("encode", sentences, {
          signal,
          onReport: ({ done, total }) => onProgress?.(done, total),
        }),
    });
    this.#modelUrl = modelUrl;
    this.lost = client.lost;
  }

  /**
   * Opens the device; the model waits for the first search, for it is large.
   *
   * @param modelUrl folder of the model's files, ends with "/"
   * @throws PageFailure "no-webgpu", "no-adapter"
   */
  static async open(modelUrl: string): Promise<SearchEngine> {
    const client = new WorkerClient<EncoderTasks>(
      new Worker(new URL("./encoder-worker.ts", import.meta.url), { type: "module" }),
    );
    try {
      return new SearchEngine(client, await client.ask("open", undefined), modelUrl);
    } catch (error) {
      client.destroy();
      throw error;
    }
  }

  /** @throws PageFailure, "aborted" when `signal` fired; the engine can search again unless the device was lost */
  async search(
    passages: readonly string[],
    query: string,
    options: EngineSearchOptions,
  ): Promise<SearchResult> {
    if (!this.#loaded) {
      await this.#client.ask("load", this.#modelUrl, {
        signal: options.signal,
        onReport: ({ done, total }) => options.onLoad?.(done, total),
      });
      this.#loaded = true;
    }
    return this.#session.search(passages, query, options);
  }

  destroy(): void {
    this.#client.destroy();
  }
}
