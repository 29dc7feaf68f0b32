import { expect, it } from "vitest";
import { measureRounds } from "./rounds.js";

const sleep = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

/** Long enough that a turn is a single run. */
const LONG_MS = 25;

it("lets all take turns in an order that moves on, and does not count the first round", async () => {
  const turns: string[] = [];
  const task = (name: string) => ({
    name,
    run: async () => {
      turns.push(name);
      await sleep(LONG_MS);
    },
  });
  const measured = await measureRounds(["a", "b", "c"].map(task), 2);
  expect(turns.join("")).toBe("abcbcacab");
  for (const name of ["a", "b", "c"]) {
    const { samples } = measured.get(name)!;
    expect(samples).toHaveLength(2);
    for (const sample of samples) expect(sample).toBeGreaterThan(LONG_MS - 2);
  }
});

it("repeats a short task within its turn, and samples the time of one run", async () => {
  let runs = 0;
  const run = async () => {
    runs++;
    await sleep(4);
  };
  const { samples } = (await measureRounds([{ name: "short", run }], 1)).get("short")!;
  expect(runs).toBeGreaterThanOrEqual(4);
  expect(samples).toHaveLength(1);
  expect(samples[0]).toBeLessThan(15);
});

it("drops a task that throws, and goes on with the others", async () => {
  let runs = 0;
  const failing = {
    name: "failing",
    run: async () => {
      if (++runs === 2) throw new Error("device lost");
      await sleep(LONG_MS);
    },
  };
  const steady = { name: "steady", run: () => sleep(LONG_MS) };
  const measured = await measureRounds([failing, steady], 3);
  expect(measured.get("failing")).toEqual({ samples: [], error: "device lost" });
  expect(measured.get("steady")!.samples).toHaveLength(3);
  expect(runs).toBe(2);
});
