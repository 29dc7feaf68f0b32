import { PageFailure } from "./page-failure.js";

/** Tasks of which only the newest counts: a new one cancels the one before and begins when that has stopped. */
export class LatestTask {
  #controller: AbortController | undefined;
  #stopped: Promise<unknown> = Promise.resolve();

  get isRunning(): boolean {
    return this.#controller !== undefined;
  }

  /** @throws PageFailure "aborted" when it was cancelled before it began; whatever the task throws */
  async run<T>(task: (signal: AbortSignal) => Promise<T>): Promise<T> {
    this.cancel();
    const controller = new AbortController();
    this.#controller = controller;
    const result = this.#stopped.then(() => {
      controller.signal.throwIfAborted();
      return task(controller.signal);
    });
    this.#stopped = result.catch(() => {});
    try {
      return await result;
    } finally {
      if (this.#controller === controller) this.#controller = undefined;
    }
  }

  cancel(): void {
    this.#controller?.abort(new PageFailure("aborted", "Cancelled."));
  }
}
