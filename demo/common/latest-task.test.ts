import { describe, expect, it } from "vitest";
import { LatestTask } from "./latest-task.js";

/** Ends when its signal fires, one turn later, as a worker does. */
function endless(log: string[], name: string) {
  return (signal: AbortSignal) =>
    new Promise<never>((_, reject) => {
      log.push(`${name} begins`);
      signal.addEventListener("abort", () =>
        setTimeout(() => {
          log.push(`${name} ends`);
          reject(signal.reason);
        }),
      );
    });
}

describe("LatestTask", () => {
  it("begins a task when the one before has stopped, and skips those in between", async () => {
    const log: string[] = [];
    const tasks = new LatestTask();
    const first = tasks.run(endless(log, "first"));
    await Promise.resolve();
    const second = tasks.run(endless(log, "second"));
    const third = tasks.run(async () => log.push("third"));
    await expect(first).rejects.toMatchObject({ code: "aborted" });
    await expect(second).rejects.toMatchObject({ code: "aborted" });
    await third;
    expect(log).toEqual(["first begins", "first ends", "third"]);
    expect(tasks.isRunning).toBe(false);
  });

  it("goes on after a failure", async () => {
    const tasks = new LatestTask();
    await expect(tasks.run(() => Promise.reject(new Error("broken")))).rejects.toThrow("broken");
    expect(await tasks.run(async () => 3)).toBe(3);
  });
});
