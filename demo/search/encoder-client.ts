import { type FailureCode, PageFailure } from "../common/page-failure.js";
import type { WorkerReply, WorkerRequest } from "./worker-messages.js";

export interface TaskOptions {
  readonly signal?: AbortSignal;
  readonly onProgress?: (done: number, total: number) => void;
}

interface Task {
  readonly resolve: (value: unknown) => void;
  readonly reject: (failure: PageFailure) => void;
  readonly onProgress: ((done: number, total: number) => void) | undefined;
}

type Question =
  | { readonly task: "open" }
  | { readonly task: "load"; readonly baseUrl: string }
  | { readonly task: "encode"; readonly sentences: readonly string[] };

/**
 * The sentence encoder in its worker, as promises. Failures are `PageFailure`s. A lost device fails all that is under way and
 * resolves {@link lost}; the client is then of no more use.
 */
export class EncoderClient {
  /** Resolves with the failure when the device is lost or the worker dies; never rejects. */
  readonly lost: Promise<PageFailure>;
  readonly #worker = new Worker(new URL("./encoder-worker.ts", import.meta.url), { type: "module" });
  readonly #tasks = new Map<number, Task>();
  #nextId = 0;
  #announceLoss: (failure: PageFailure) => void = () => {};

  constructor() {
    this.lost = new Promise((resolve) => {
      this.#announceLoss = resolve;
    });
    this.#worker.addEventListener("message", ({ data }: MessageEvent<WorkerReply>) => this.#take(data));
    this.#worker.addEventListener("error", ({ message }) =>
      this.#die("other", message || "The worker did not start."),
    );
  }

  /** Asks for adapter and device; gives the adapter's name. */
  open(): Promise<string> {
    return this.#ask({ task: "open" }, {}) as Promise<string>;
  }

  /** Loads the model from a folder. Progress is in bytes. */
  async load(baseUrl: string, options: TaskOptions = {}): Promise<void> {
    await this.#ask({ task: "load", baseUrl }, options);
  }

  /** Embeds each sentence: 512 numbers, length 1. Progress is in sentences. */
  encode(sentences: readonly string[], options: TaskOptions = {}): Promise<Float32Array[]> {
    return this.#ask({ task: "encode", sentences }, options) as Promise<Float32Array[]>;
  }

  /** Ends the worker and all that it holds on the GPU. */
  destroy(): void {
    this.#worker.terminate();
    this.#failAll("aborted", "The encoder was closed.");
  }

  #ask(question: Question, { signal, onProgress }: TaskOptions): Promise<unknown> {
    if (signal?.aborted) return Promise.reject(new PageFailure("aborted", "Cancelled."));
    const id = this.#nextId++;
    const cancel = () => this.#send({ id, task: "cancel" });
    signal?.addEventListener("abort", cancel, { once: true });
    return new Promise((resolve, reject) => {
      this.#tasks.set(id, { resolve, reject, onProgress });
      this.#send({ ...question, id });
    }).finally(() => signal?.removeEventListener("abort", cancel));
  }

  #send(request: WorkerRequest): void {
    this.#worker.postMessage(request);
  }

  #take(reply: WorkerReply): void {
    if (reply.kind === "lost") {
      this.#die("device-lost", reply.message);
      return;
    }
    const task = this.#tasks.get(reply.id);
    if (reply.kind === "progress") {
      task?.onProgress?.(reply.done, reply.total);
      return;
    }
    this.#tasks.delete(reply.id);
    if (reply.kind === "done") task?.resolve(reply.value);
    else task?.reject(new PageFailure(reply.code, reply.message));
  }

  #die(code: FailureCode, message: string): void {
    this.#failAll(code, message);
    this.#worker.terminate();
    this.#announceLoss(new PageFailure(code, message));
  }

  #failAll(code: FailureCode, message: string): void {
    for (const { reject } of this.#tasks.values()) reject(new PageFailure(code, message));
    this.#tasks.clear();
  }
}
