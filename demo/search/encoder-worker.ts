/** Owns the GPU device and the encoder, so that neither compiling nor tokenising freezes the page. */
import { AttentionContext, AttentionError } from "webgpu-attention";
import { SentenceEncoder } from "webgpu-attention/transformer";
import { openDevice } from "../common/open-device.js";
import { type FailureCode, PageFailure } from "../common/page-failure.js";
import type { WorkerReply, WorkerRequest } from "./worker-messages.js";

let context: AttentionContext | undefined;
let encoder: SentenceEncoder | undefined;
let deviceLost: Promise<GPUDeviceLostInfo> | undefined;
const running = new Map<number, AbortController>();

self.addEventListener("message", ({ data }: MessageEvent<WorkerRequest>) => {
  if (data.task === "cancel") running.get(data.id)?.abort();
  else void answer(data);
});

async function answer(request: Exclude<WorkerRequest, { task: "cancel" }>): Promise<void> {
  const { id } = request;
  const controller = new AbortController();
  running.set(id, controller);
  try {
    reply({ id, kind: "done", value: await perform(request, controller.signal) });
  } catch (error) {
    const code = controller.signal.aborted ? "aborted" : await failureCode(error);
    reply({ id, kind: "failed", code, message: (error as Error).message });
  } finally {
    running.delete(id);
  }
}

function perform(request: Exclude<WorkerRequest, { task: "cancel" }>, signal: AbortSignal): Promise<unknown> {
  const { id } = request;
  const progress = (done: number, total: number) => reply({ id, kind: "progress", done, total });
  switch (request.task) {
    case "open":
      return openContext();
    case "load":
      return loadEncoder(request.baseUrl, signal, progress);
    case "encode":
      if (encoder === undefined) throw new Error("The encoder is asked for embeddings before it is loaded.");
      return encoder.encode([...request.sentences], {
        signal,
        onProgress: ({ done, total }) => progress(done, total),
      });
  }
}

/** @returns the adapter's name */
async function openContext(): Promise<string> {
  const { device, adapterName } = await openDevice();
  deviceLost = device.lost;
  void deviceLost.then(({ message }) => reply({ kind: "lost", message }));
  context = await AttentionContext.create(device);
  return adapterName;
}

async function loadEncoder(
  baseUrl: string,
  signal: AbortSignal,
  progress: (done: number, total: number) => void,
): Promise<void> {
  if (context === undefined) throw new Error("The encoder is loaded before a device is open.");
  encoder = await SentenceEncoder.load(context, baseUrl, {
    signal,
    onProgress: ({ loadedBytes, totalBytes }) => progress(loadedBytes, totalBytes),
  });
}

async function failureCode(error: unknown): Promise<FailureCode> {
  if (error instanceof PageFailure) return error.code;
  if (error instanceof AttentionError && error.code === "device-lost") return "device-lost";
  // A lost device makes pending work fail in several ways, often before the loss itself is announced.
  const settled = new Promise<undefined>((resolve) => setTimeout(resolve, 100));
  const loss = await Promise.race([deviceLost, settled]);
  return loss === undefined ? "other" : "device-lost";
}

function reply(message: WorkerReply): void {
  self.postMessage(message);
}
