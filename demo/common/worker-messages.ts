import type { FailureCode } from "./page-failure.js";

/** What a worker's task takes, what it tells on its way, and what it gives. All of it can be cloned. */
export interface TaskType {
  readonly asks: unknown;
  readonly reports: unknown;
  readonly gives: unknown;
}

/** A worker's tasks by their names: an interface whose members are {@link TaskType}s. */
export type TaskTypes<Tasks> = Record<keyof Tasks, TaskType>;

/** What a page asks of a worker. Every task is answered once, with `done` or `failed`. */
export type WorkerRequest =
  | { readonly kind: "task"; readonly id: number; readonly task: string; readonly asks: unknown }
  /** Stops the task of this id, which then fails with the code `aborted`. */
  | { readonly kind: "cancel"; readonly id: number };

export type WorkerReply =
  | { readonly kind: "report"; readonly id: number; readonly report: unknown }
  | { readonly kind: "done"; readonly id: number; readonly value: unknown }
  | { readonly kind: "failed"; readonly id: number; readonly code: FailureCode; readonly message: string }
  /** The GPU device is gone, and with it all that the worker holds. */
  | { readonly kind: "lost"; readonly message: string };

/** So much of so much. */
export interface Progress {
  readonly done: number;
  readonly total: number;
}

/** Opens the worker's GPU device; gives the adapter's name. */
export interface OpenTask extends TaskType {
  readonly asks: undefined;
  readonly reports: never;
  readonly gives: string;
}
