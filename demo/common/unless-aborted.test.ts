import { expect, it } from "vitest";
import { unlessAborted } from "./unless-aborted.js";

it("gives what the promise gives, or the signal's reason where that comes first", async () => {
  const { signal } = new AbortController();
  expect(await unlessAborted(Promise.resolve(3), signal)).toBe(3);
  await expect(unlessAborted(Promise.reject(new Error("broken")), signal)).rejects.toThrow("broken");

  const controller = new AbortController();
  const waiting = unlessAborted(new Promise(() => {}), controller.signal);
  controller.abort(new Error("stopped"));
  await expect(waiting).rejects.toThrow("stopped");
  await expect(unlessAborted(Promise.resolve(3), controller.signal)).rejects.toThrow("stopped");
});
