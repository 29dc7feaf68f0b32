import { expect, test } from "vitest";
import type { AttentionContext } from "webgpu-attention";
import { type KnownRules, SinkMemory } from "./sink-memory.js";
import type { SinkSearch } from "./sink-search.js";

/** Hands out buffers that know whether they are there, as many as there is room for. */
function driver(room = Number.POSITIVE_INFINITY) {
  const buffers: { destroyed: boolean; destroy(): void }[] = [];
  const empty = (shape: readonly number[]) => {
    if (buffers.length >= room) throw new RangeError("no room");
    const buffer = {
      destroyed: false,
      destroy() {
        this.destroyed = true;
      },
    };
    buffers.push(buffer);
    return { buffer, shape, dtype: "f32" };
  };
  const alive = () => buffers.filter(({ destroyed }) => !destroyed).length;
  return { ctx: { empty } as unknown as AttentionContext, alive };
}

const sizes = { batches: 2, capacity: 64 };
const rule = (text: string, running = false) => ({ text, running });
function search(...rules: SinkSearch["rules"]): SinkSearch {
  return { heads: 3, hidden: false, running: rules.some((one) => one?.running), rules };
}
const [LISTS, SUMS] = [1, 4];

function add(memory: SinkMemory, ctx: AttentionContext, searches: Map<number, SinkSearch>, begun: boolean[]) {
  memory.add(memory.makeRoom(ctx, memory.missing(searches, begun)));
  memory.note(searches);
}

test("what finds no room leaves nothing behind, and what was known as it was", () => {
  const { ctx, alive } = driver(LISTS + 2);
  const memory = new SinkMemory(sizes);
  add(memory, ctx, new Map([[0, search(rule("a"))]]), [false, false]);
  const running = new Map([[1, search(rule("a"), rule("b", true))]]);
  const missing = memory.missing(running, [false, false]);
  expect(() => memory.makeRoom(ctx, missing)).toThrow("no room");
  expect(alive()).toBe(LISTS);
  expect(memory.of(0).rules[0]).toEqual(rule("a"));
});

test("sums come to lists that a text goes on with, and all is new where none has begun", () => {
  const { ctx, alive } = driver();
  const memory = new SinkMemory(sizes);
  add(memory, ctx, new Map([[0, search(rule("a"))]]), [false, false]);
  const { lists } = memory.of(0);
  add(memory, ctx, new Map([[0, search(rule("a"), rule("b", true))]]), [true, false]);
  expect(memory.of(0).lists).toBe(lists);
  expect(memory.of(0).rules).toEqual([rule("a"), rule("b", true)]);
  expect(alive()).toBe(LISTS + SUMS);
  add(memory, ctx, new Map([[0, search(rule("a"))]]), [false, false]);
  expect(memory.of(0).lists).not.toBe(lists);
  expect(memory.of(0).rules).toEqual([rule("a"), undefined]);
  expect(alive()).toBe(LISTS);
  memory.destroy();
  expect(alive()).toBe(0);
});

test("another search is refused for what has begun, and sums are stale once a pass goes on without", () => {
  const { ctx } = driver();
  const memory = new SinkMemory(sizes);
  const both = new Map([[0, search(rule("a"), rule("b", true))]]);
  add(memory, ctx, both, [false, false]);
  expect(() => memory.missing(new Map([[0, search(rule("c"))]]), [true, true])).toThrow(/another rule/);
  expect(() => memory.missing(new Map([[1, search(rule("a"))]]), [true, true])).toThrow(/layer 1/);
  const before: KnownRules = memory.rules;
  memory.note(new Map([[0, search(rule("a"))]]));
  expect(memory.of(0).rules).toEqual([rule("a"), undefined]);
  memory.rules = before;
  expect(memory.of(0).rules).toEqual([rule("a"), rule("b", true)]);
  memory.forget();
  expect(() => memory.missing(both, [true, false])).toThrow(/another rule/);
});
