import type { FailureCode } from "../common/page-failure.js";

/** What the page asks of the worker. Every task is answered once, with `done` or `failed`. */
export type WorkerRequest =
  | { readonly id: number; readonly task: "open" }
  | { readonly id: number; readonly task: "load"; readonly baseUrl: string }
  | { readonly id: number; readonly task: "encode"; readonly sentences: readonly string[] }
  /** Stops the task of this id, which then fails with the code `aborted`. */
  | { readonly id: number; readonly task: "cancel" };

export type WorkerReply =
  | { readonly id: number; readonly kind: "progress"; readonly done: number; readonly total: number }
  | { readonly id: number; readonly kind: "done"; readonly value: unknown }
  | { readonly id: number; readonly kind: "failed"; readonly code: FailureCode; readonly message: string }
  /** The GPU device is gone, and with it all that the worker holds. */
  | { readonly kind: "lost"; readonly message: string };
