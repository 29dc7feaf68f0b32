import { expect, test } from "vitest";
import type { AttentionContext, Shape4 } from "webgpu-attention";
import { planWith, Workspace } from "./workspace.js";

/** Counts buffers that are there. */
function fakeContext() {
  const alive = new Set<object>();
  const empty = (shape: Shape4) => {
    const buffer = {
      size: 4 * shape.reduce((product, size) => product * size, 1),
      destroy: () => alive.delete(buffer),
    };
    alive.add(buffer);
    return { buffer, dtype: "f32", shape };
  };
  return { ctx: { empty } as unknown as AttentionContext, alive };
}

test("passes of all sizes share a buffer, and one that is too small goes with the last pass that uses it", () => {
  const { ctx, alive } = fakeContext();
  const work = new Workspace(ctx);
  const [small, other, large] = [work.use(), work.use(), work.use()];
  const first = small.view("x", [1, 4, 1, 8]);
  expect(other.view("x", [1, 2, 1, 8]).buffer).toBe(first.buffer);
  const second = large.view("x", [1, 64, 1, 8]);
  expect(second.buffer).not.toBe(first.buffer);
  expect(work.bytes).toBe(4 * 8 * (4 + 64));
  small.release();
  small.release();
  expect(alive.has(first.buffer)).toBe(true);
  other.release();
  expect(alive.has(first.buffer)).toBe(false);
  large.release();
  expect(work.use().view("x", [1, 4, 1, 8]).buffer).toBe(second.buffer);
});

test("a text that grows by a token again and again leaves no more buffers than passes use", () => {
  const { ctx, alive } = fakeContext();
  const work = new Workspace(ctx);
  for (let tokens = 1; tokens < 50; tokens++) {
    const use = work.use();
    use.view("logits", [1, tokens, 1, 100]);
    use.release();
  }
  expect(alive.size).toBe(1);
});

test("what is in use when the model goes, goes with its pass; what could not be planned goes at once", async () => {
  const { ctx, alive } = fakeContext();
  const work = new Workspace(ctx);
  const pass = await planWith(work, async (buffers) => {
    buffers.view("x", [1, 1, 1, 4]);
    return { destroy() {} };
  });
  work.destroy();
  expect(alive.size).toBe(1);
  const failing = planWith(work, async (buffers) => {
    buffers.view("y", [1, 1, 1, 4]);
    throw new Error("no plan");
  });
  await expect(failing).rejects.toThrow("no plan");
  pass.destroy();
  work.destroy();
  expect(alive.size).toBe(0);
});
