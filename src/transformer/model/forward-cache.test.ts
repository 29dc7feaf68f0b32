import { describe, expect, test } from "vitest";
import { ForwardCache } from "./forward-cache.js";

function setUp(limit: number) {
  const cache = new ForwardCache<{ name: string; destroy(): void }>(limit);
  const events: string[] = [];
  const make = (name: string) => async () => {
    events.push(`make ${name}`);
    return { name, destroy: () => events.push(`destroy ${name}`) };
  };
  const lease = (name: string) => cache.lease(name, make(name));
  return { cache, events, lease };
}

const settled = () => new Promise((resolve) => setTimeout(resolve));

describe("cache of compiled passes", () => {
  test("makes each once, and drops what was used longest ago", async () => {
    const { events, lease } = setUp(2);
    for (const name of ["a", "b", "a", "c"]) (await lease(name)).release();
    await settled();
    expect(events).toEqual(["make a", "make b", "make c", "destroy b"]);
  });

  test("keeps what is in use", async () => {
    const { events, lease } = setUp(1);
    const leases = await Promise.all(["a", "b", "a"].map(lease));
    await settled();
    expect(events).toEqual(["make a", "make b"]);
    leases[0]!.release();
    leases[0]!.release();
    leases[1]!.release();
    await settled();
    expect(events.slice(2)).toEqual(["destroy b"]);
    expect(leases[2]!.value.name).toBe("a");
  });

  test("goes with the last lease when it is destroyed", async () => {
    const { cache, events, lease } = setUp(4);
    const [first, second] = [await lease("a"), await lease("b")];
    second.release();
    cache.destroy();
    await settled();
    expect(events.slice(2)).toEqual(["destroy b"]);
    first.release();
    await settled();
    expect(events.slice(3)).toEqual(["destroy a"]);
  });

  test("forgets what could not be made", async () => {
    const { cache } = setUp(1);
    const fail = async () => {
      throw new Error("no");
    };
    await expect(cache.lease("a", fail)).rejects.toThrow("no");
    const { value } = await cache.lease("a", async () => ({ name: "again", destroy() {} }));
    expect(value.name).toBe("again");
  });
});
