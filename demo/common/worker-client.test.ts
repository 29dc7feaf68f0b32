import { describe, expect, it } from "vitest";
import { WorkerClient } from "./worker-client.js";
import type { WorkerReply, WorkerRequest } from "./worker-messages.js";

interface Tasks {
  readonly double: { readonly asks: number; readonly reports: string; readonly gives: number };
}

/** A worker that keeps what it is asked, and answers when told to. */
class FakeWorker extends EventTarget {
  readonly asked: WorkerRequest[] = [];
  isEnded = false;

  postMessage(request: WorkerRequest): void {
    this.asked.push(request);
  }

  terminate(): void {
    this.isEnded = true;
  }

  reply(data: WorkerReply): void {
    this.dispatchEvent(new MessageEvent("message", { data }));
  }
}

function started() {
  const worker = new FakeWorker();
  return { worker, client: new WorkerClient<Tasks>(worker as unknown as Worker) };
}

describe("WorkerClient", () => {
  it("gives each task its own reports and answer", async () => {
    const { worker, client } = started();
    const told: string[] = [];
    const first = client.ask("double", 2, { onReport: (report) => told.push(report) });
    const second = client.ask("double", 4);
    expect(worker.asked).toMatchObject([
      { kind: "task", id: 0, task: "double", asks: 2 },
      { kind: "task", id: 1, asks: 4 },
    ]);
    worker.reply({ kind: "report", id: 0, report: "half" });
    worker.reply({ kind: "done", id: 1, value: 8 });
    worker.reply({ kind: "done", id: 0, value: 4 });
    expect(await Promise.all([first, second])).toEqual([4, 8]);
    expect(told).toEqual(["half"]);
  });

  it("cancels a task that is under way, and asks for none that is cancelled before", async () => {
    const { worker, client } = started();
    const controller = new AbortController();
    const { signal } = controller;
    const result = client.ask("double", 2, { signal });
    controller.abort();
    expect(worker.asked.at(-1)).toEqual({ kind: "cancel", id: 0 });
    worker.reply({ kind: "failed", id: 0, code: "aborted", message: "stopped" });
    await expect(result).rejects.toMatchObject({ code: "aborted", message: "stopped" });
    await expect(client.ask("double", 3, { signal })).rejects.toMatchObject({ code: "aborted" });
    expect(worker.asked).toHaveLength(2);
  });

  it("drops what comes after a cancel, when the worker had finished", async () => {
    const { worker, client } = started();
    const controller = new AbortController();
    const result = client.ask("double", 2, { signal: controller.signal });
    controller.abort();
    worker.reply({ kind: "done", id: 0, value: 4 });
    await expect(result).rejects.toMatchObject({ code: "aborted" });
  });

  it("fails everything when the device is lost", async () => {
    const { worker, client } = started();
    const result = client.ask("double", 2);
    worker.reply({ kind: "lost", message: "reset" });
    await expect(result).rejects.toMatchObject({ code: "device-lost" });
    expect(await client.lost).toMatchObject({ code: "device-lost", message: "reset" });
    expect(worker.isEnded).toBe(true);
  });
});
