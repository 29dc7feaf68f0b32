/** The worker's side of `worker-client.ts`: answers tasks, and owns the GPU device. */
import { AttentionContext, AttentionError } from "webgpu-attention";
import { openDevice } from "./open-device.js";
import { type FailureCode, PageFailure } from "./page-failure.js";
import type { TaskType, TaskTypes, WorkerReply, WorkerRequest } from "./worker-messages.js";

/** Performs a task; whatever it throws fails the task. */
type Handler<Task extends TaskType> = (
  asks: Task["asks"],
  signal: AbortSignal,
  report: (report: Task["reports"]) => void,
) => Promise<Task["gives"]>;

type Handlers<Tasks extends TaskTypes<Tasks>> = { readonly [Name in keyof Tasks]: Handler<Tasks[Name]> };

const running = new Map<number, AbortController>();
let deviceLost: Promise<GPUDeviceLostInfo> | undefined;

/** Answers what the page asks from now on. */
export function serve<Tasks extends TaskTypes<Tasks>>(handlers: Handlers<Tasks>): void {
  self.addEventListener("message", ({ data }: MessageEvent<WorkerRequest>) => {
    if (data.kind === "cancel") running.get(data.id)?.abort();
    else void answer(handlers[data.task as keyof Tasks], data.id, data.asks);
  });
}

/** A context on a device of the worker's own; the page hears when that is lost. @throws PageFailure "no-webgpu", "no-adapter" */
export async function openContext(): Promise<{
  readonly ctx: AttentionContext;
  readonly adapterName: string;
}> {
  const { device, adapterName } = await openDevice();
  deviceLost = device.lost;
  void deviceLost.then(({ message }) => reply({ kind: "lost", message }));
  return { ctx: await AttentionContext.create(device), adapterName };
}

async function answer<Task extends TaskType>(
  handler: Handler<Task>,
  id: number,
  asks: unknown,
): Promise<void> {
  const controller = new AbortController();
  running.set(id, controller);
  try {
    const report = (told: Task["reports"]) => reply({ kind: "report", id, report: told });
    reply({ kind: "done", id, value: await handler(asks, controller.signal, report) });
  } catch (error) {
    const code = controller.signal.aborted ? "aborted" : await failureCode(error);
    reply({ kind: "failed", id, code, message: (error as Error).message });
  } finally {
    running.delete(id);
  }
}

/** What someone chose on the page, rather than what happened to files or the machine. */
const REFUSALS: readonly string[] = ["shape", "unsupported", "limit", "dtype"];

async function failureCode(error: unknown): Promise<FailureCode> {
  if (error instanceof PageFailure) return error.code;
  if (error instanceof AttentionError && error.code === "device-lost") return "device-lost";
  // A lost device makes pending work fail in several ways, often before the loss itself is announced.
  const settled = new Promise<undefined>((resolve) => setTimeout(resolve, 100));
  const loss = await Promise.race([deviceLost, settled]);
  if (loss !== undefined) return "device-lost";
  return error instanceof AttentionError && REFUSALS.includes(error.code) ? "refused" : "other";
}

function reply(message: WorkerReply): void {
  self.postMessage(message);
}
