import { PageFailure } from "./page-failure.js";
import { WorkerClient } from "./worker-client.js";
import type { OpenTask, TaskTypes } from "./worker-messages.js";

interface KeptWorkerOptions {
  readonly start: () => Worker;
  readonly onOpen: (adapterName: string) => void;
  /** The device is gone; what opens next begins anew. */
  readonly onLoss: (loss: PageFailure) => void;
}

/** A worker with a device, opened when it is first needed, and again after it was lost. */
export class KeptWorker<Tasks extends TaskTypes<Tasks> & { readonly open: OpenTask }> {
  readonly #options: KeptWorkerOptions;
  #client: Promise<WorkerClient<Tasks>> | undefined;

  constructor(options: KeptWorkerOptions) {
    this.#options = options;
  }

  /** @throws PageFailure "no-webgpu", "no-adapter" */
  open(): Promise<WorkerClient<Tasks>> {
    this.#client ??= this.#start().catch((error) => {
      this.#client = undefined;
      throw error;
    });
    return this.#client;
  }

  async #start(): Promise<WorkerClient<Tasks>> {
    // Asked here as well as in the worker, because a page without WebGPU should say so before anything is tried.
    if (navigator.gpu === undefined) throw new PageFailure("no-webgpu", "navigator.gpu is missing.");
    const client = new WorkerClient<Tasks>(this.#options.start());
    try {
      this.#options.onOpen((await client.ask("open", undefined)) as string);
    } catch (error) {
      client.destroy();
      throw error;
    }
    void client.lost.then((loss) => {
      this.#client = undefined;
      this.#options.onLoss(loss);
    });
    return client;
  }
}
