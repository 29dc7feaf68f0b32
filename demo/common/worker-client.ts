import { type FailureCode, PageFailure } from "./page-failure.js";
import type { TaskTypes, WorkerReply, WorkerRequest } from "./worker-messages.js";

export interface AskOptions<Report> {
  readonly signal?: AbortSignal;
  readonly onReport?: (report: Report) => void;
}

interface Pending {
  readonly resolve: (value: unknown) => void;
  readonly reject: (failure: PageFailure) => void;
  readonly onReport: ((report: never) => void) | undefined;
}

/**
 * A worker's tasks as promises. Failures are `PageFailure`s. A lost device fails all that is under way and resolves {@link lost};
 * the client is then of no more use.
 */
export class WorkerClient<Tasks extends TaskTypes<Tasks>> {
  /** Resolves with the failure when the device is lost or the worker dies; never rejects. */
  readonly lost: Promise<PageFailure>;
  readonly #worker: Worker;
  readonly #pending = new Map<number, Pending>();
  #nextId = 0;
  #announceLoss: (failure: PageFailure) => void = () => {};

  constructor(worker: Worker) {
    this.#worker = worker;
    this.lost = new Promise((resolve) => {
      this.#announceLoss = resolve;
    });
    worker.addEventListener("message", ({ data }: MessageEvent<WorkerReply>) => this.#take(data));
    worker.addEventListener("error", ({ message }) =>
      this.#die("other", message || "The worker did not start."),
    );
  }

  /** @throws PageFailure, "aborted" when the signal fired, also where the worker had nothing left to stop */
  async ask<Name extends keyof Tasks & string>(
    task: Name,
    asks: Tasks[Name]["asks"],
    { signal, onReport }: AskOptions<Tasks[Name]["reports"]> = {},
  ): Promise<Tasks[Name]["gives"]> {
    throwIfAborted(signal);
    const id = this.#nextId++;
    const cancel = () => this.#send({ kind: "cancel", id });
    signal?.addEventListener("abort", cancel, { once: true });
    try {
      const given = await new Promise((resolve, reject) => {
        this.#pending.set(id, { resolve, reject, onReport });
        this.#send({ kind: "task", id, task, asks });
      });
      throwIfAborted(signal);
      return given as Tasks[Name]["gives"];
    } finally {
      signal?.removeEventListener("abort", cancel);
    }
  }

  /** Ends the worker and all that it holds on the GPU. */
  destroy(): void {
    this.#worker.terminate();
    this.#failAll("aborted", "The worker was ended.");
  }

  #send(request: WorkerRequest): void {
    this.#worker.postMessage(request);
  }

  #take(reply: WorkerReply): void {
    if (reply.kind === "lost") {
      this.#die("device-lost", reply.message);
      return;
    }
    const pending = this.#pending.get(reply.id);
    if (reply.kind === "report") {
      pending?.onReport?.(reply.report as never);
      return;
    }
    this.#pending.delete(reply.id);
    if (reply.kind === "done") pending?.resolve(reply.value);
    else pending?.reject(new PageFailure(reply.code, reply.message));
  }

  #die(code: FailureCode, message: string): void {
    this.#failAll(code, message);
    this.#worker.terminate();
    this.#announceLoss(new PageFailure(code, message));
  }

  #failAll(code: FailureCode, message: string): void {
    for (const { reject } of this.#pending.values()) reject(new PageFailure(code, message));
    this.#pending.clear();
  }
}

function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw new PageFailure("aborted", "Cancelled.");
}
