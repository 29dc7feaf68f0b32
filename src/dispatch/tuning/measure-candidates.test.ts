import { describe, expect, test, vi } from "vitest";
import { AttentionError } from "../errors.js";
import { measureCandidates, type PreparedCandidate, type TuningProgress } from "./measure-candidates.js";

interface Fake {
  readonly name: string;
  /** Milliseconds of a run. */
  readonly ms: number;
  readonly fails?: "compile" | "verify";
}

/** Runs fakes on a clock of their own; `noise` is what one run takes on top. */
function measure(
  fakes: readonly Fake[],
  options: {
    budgetMs?: number;
    signal?: AbortSignal;
    noise?: () => number;
    onProgress?: (p: TuningProgress) => void;
  } = {},
) {
  const { budgetMs = 300, noise = () => 0, ...rest } = options;
  const destroyed: string[] = [];
  let clock = 0;
  const prepare = async ({ name, ms, fails }: Fake): Promise<PreparedCandidate> => {
    if (fails === "compile")
      throw new AttentionError("compile", { subject: name, expected: "a", got: "b", fix: "c" });
    return {
      async run(times) {
        const taken = times * (ms + noise());
        clock += taken;
        return taken;
      },
      verify: async () => (fails === "verify" ? "off by 1" : undefined),
      destroy: () => void destroyed.push(name),
    };
  };
  const result = measureCandidates({
    candidates: fakes,
    name: ({ name }) => name,
    prepare,
    budgetMs,
    ...rest,
  });
  return { result, destroyed, clock: () => clock };
}

const fakes = (...ms: number[]): Fake[] => ms.map((each, index) => ({ name: `${index}: ${each}`, ms: each }));

describe("measuring", () => {
  test("finds the fastest and stays within its budget, which it says", async () => {
    const { result, destroyed, clock } = measure(fakes(9, 7, 5, 6, 30, 8));
    const { winner, measured, gpuMs } = await result;
    expect(winner.candidate.ms).toBe(5);
    expect(measured.map(({ candidate }) => candidate.ms)).toEqual([5, 6, 7, 8, 9, 30]);
    expect(winner.samples.length).toBeGreaterThanOrEqual(3);
    expect(gpuMs).toBeCloseTo(clock());
    expect(clock()).toBeLessThanOrEqual(300);
    expect(destroyed).toHaveLength(6);
  });

  test("gives its time to candidates that may win", async () => {
    const { measured } = await measure(fakes(5, 5.2, 50)).result;
    expect(measured.map(({ samples }) => samples.length)).toEqual([15, 15, 1]);
  });

  test("is not misled by a machine that is busy now and then", async () => {
    let turn = 0;
    const noise = () => (turn++ % 3 === 0 ? 20 : 0);
    expect((await measure(fakes(8, 5, 7), { noise, budgetMs: 1000 }).result).winner.candidate.ms).toBe(5);
  });

  test("repeats runs that are too short to time", async () => {
    const { result, clock } = measure(fakes(0.01, 0.02, 0.03));
    const { winner } = await result;
    expect(winner.candidate.ms).toBe(0.01);
    expect(clock()).toBeGreaterThan(1);
  });

  test("times three candidates even when the budget is spent on the first", async () => {
    const { measured, unmeasured } = await measure(fakes(400, 300, 200, 100), { budgetMs: 100 }).result;
    expect(measured.length).toBe(3);
    expect(unmeasured).toHaveLength(1);
  });

  test("drops what does not compile or is wrong, and says why, even if it were the fastest", async () => {
    const { result, destroyed } = measure([
      { name: "broken", ms: 1, fails: "compile" },
      { name: "wrong", ms: 1, fails: "verify" },
      { name: "right", ms: 9 },
    ]);
    const { winner, dropped, measured } = await result;
    expect(winner.name).toBe("right");
    expect(measured).toHaveLength(1);
    expect(dropped.map(({ name, reason }) => `${name} ${reason}`)).toEqual([
      "broken broken: expected a, got b. c",
      "wrong off by 1",
    ]);
    expect(destroyed.sort()).toEqual(["right", "wrong"]);
  });

  test("fails when nothing works, and says what was wrong with each", async () => {
    const { result, destroyed } = measure([
      { name: "broken", ms: 1, fails: "compile" },
      { name: "wrong", ms: 1, fails: "verify" },
    ]);
    await expect(result).rejects.toMatchObject({
      code: "compile",
      message: expect.stringMatching(/broken.*wrong: off/),
    });
    expect(destroyed).toEqual(["wrong"]);
  });

  test("does not hide the loss of the device behind dropped candidates", async () => {
    const lost = new AttentionError("device-lost", { subject: "a", expected: "b", got: "c", fix: "d" });
    const prepare = () => Promise.reject(lost);
    const result = measureCandidates({ candidates: [1], name: String, prepare, budgetMs: 300 });
    await expect(result).rejects.toBe(lost);
  });

  test("reports its phases in order", async () => {
    const seen: TuningProgress[] = [];
    await measure(fakes(5, 6, 7), { onProgress: (progress) => seen.push(progress) }).result;
    expect([...new Set(seen.map(({ phase }) => phase))]).toEqual(["compile", "check", "time"]);
    for (const { done, total } of seen) expect(done).toBeLessThanOrEqual(total);
    expect(seen.at(-1)).toMatchObject({ done: 300, total: 300 });
  });

  test.each(["compile", "check", "time"] as const)(
    "ends in the phase %s when the signal fires",
    async (phase) => {
      const abort = new AbortController();
      const onProgress = vi.fn((progress: TuningProgress) => {
        if (progress.phase === phase) abort.abort("enough");
      });
      const { result, destroyed } = measure(fakes(5, 6, 7), { signal: abort.signal, onProgress });
      await expect(result).rejects.toMatchObject({ code: "aborted", cause: "enough" });
      expect(destroyed).toHaveLength(3);
      expect(onProgress.mock.lastCall![0].phase).toBe(phase);
    },
  );
});
