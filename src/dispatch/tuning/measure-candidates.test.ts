import { describe, expect, test, vi } from "vitest";
import { AttentionError } from "../errors.js";
import type { PreparedCandidate, TuningProgress } from "./candidate.js";
import { grainOf } from "./clock-grain.js";
import { measureCandidates } from "./measure-candidates.js";

interface Fake {
  readonly name: string;
  /** Milliseconds of a run. */
  readonly ms: number;
  readonly fails?: "compile" | "verify" | "check" | "run";
}

/** Runs fakes on a clock of their own; `noise` is what one run takes on top. */
function measure(
  fakes: readonly Fake[],
  options: {
    budgetMs?: number;
    signal?: AbortSignal;
    noise?: () => number;
    /** What the clock rounds down to. */
    grainMs?: number;
    onProgress?: (p: TuningProgress) => void;
  } = {},
) {
  const { budgetMs = 300, noise = () => 0, grainMs = 0, ...rest } = options;
  const destroyed: string[] = [];
  let clock = 0;
  const shown = () => (grainMs > 0 ? Math.floor(clock / grainMs) * grainMs : clock);
  const refuse = () => {
    throw new AttentionError("compile", { subject: "broken", expected: "a", got: "b", fix: "c" });
  };
  const prepare = async ({ name, ms, fails }: Fake): Promise<PreparedCandidate> => {
    if (fails === "compile") refuse();
    const run = async (times: number) => {
      const start = shown();
      clock += times * (ms + noise());
      return { ms: shown() - start, grainMs };
    };
    return {
      run: (times) => (fails === "run" ? refuse() : run(times)),
      check: async () => {
        if (fails === "check") refuse();
        return { time: await run(1), ...(fails === "verify" && { wrong: "off by 1" }) };
      },
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
      { name: "refused", ms: 1, fails: "check" },
      { name: "refused later", ms: 1, fails: "run" },
      { name: "right", ms: 9 },
    ]);
    const { winner, dropped, measured } = await result;
    expect(winner.name).toBe("right");
    expect(measured).toHaveLength(1);
    expect(dropped.map(({ name, reason }) => `${name}: ${reason}`)).toEqual([
      "broken: broken: expected a, got b. c",
      "wrong: off by 1",
      "refused: broken: expected a, got b. c",
      "refused later: broken: expected a, got b. c",
    ]);
    expect(destroyed.sort()).toEqual(["refused", "refused later", "right", "wrong"]);
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
      await vi.waitFor(() => expect(destroyed).toHaveLength(3));
      expect(onProgress.mock.lastCall![0].phase).toBe(phase);
    },
  );

  test.each(["compile", "check", "time"] as const)(
    "fails with what a callback throws in the phase %s, and leaves nothing behind",
    async (phase) => {
      const onProgress = (progress: TuningProgress) => {
        if (progress.phase === phase) throw new Error("no element");
      };
      const { result, destroyed } = measure(fakes(5, 6, 7), { onProgress });
      await expect(result).rejects.toThrow("no element");
      expect(destroyed).toHaveLength(3);
    },
  );
});

describe("compiling", () => {
  interface Slow {
    resolve(): void;
    reject(error: unknown): void;
  }
  /** Candidates that compile when they are told to. */
  function slowly(count: number, signal?: AbortSignal) {
    const slow: Slow[] = [];
    const destroy = vi.fn();
    const prepare = vi.fn(
      () =>
        new Promise<PreparedCandidate>((resolve, reject) => {
          const never = () => Promise.reject(new Error("never"));
          slow.push({ resolve: () => resolve({ run: never, check: never, destroy }), reject });
        }),
    );
    const candidates = Array.from({ length: count }, (_, index) => index);
    const result = measureCandidates({ candidates, name: String, prepare, budgetMs: 300, signal });
    return { slow, destroy, prepare, result };
  }

  test("that is aborted rejects at once, and frees what arrives later", async () => {
    const abort = new AbortController();
    const { slow, destroy, result } = slowly(3, abort.signal);
    slow[0]!.resolve();
    await Promise.resolve();
    abort.abort();
    await expect(result).rejects.toMatchObject({ code: "aborted" });
    slow[1]!.resolve();
    slow[2]!.resolve();
    await vi.waitFor(() => expect(destroy).toHaveBeenCalledTimes(3));
  });

  test("does not begin with another candidate once the signal has fired", async () => {
    const abort = new AbortController();
    const prepare = vi.fn(async (): Promise<PreparedCandidate> => {
      abort.abort();
      throw new Error("late");
    });
    const options = { candidates: [1, 2, 3], name: String, prepare, budgetMs: 300, signal: abort.signal };
    await expect(measureCandidates(options)).rejects.toMatchObject({ code: "aborted" });
    expect(prepare).toHaveBeenCalledTimes(1);
  });

  test("that the loss of the device ends waits for the rest, and frees it", async () => {
    const { slow, destroy, result } = slowly(3);
    const ended = vi.fn();
    result.catch(ended);
    slow[0]!.resolve();
    slow[1]!.reject(new AttentionError("device-lost", { subject: "a", expected: "b", got: "c", fix: "d" }));
    await new Promise((resume) => setTimeout(resume));
    expect(ended).not.toHaveBeenCalled();
    slow[2]!.resolve();
    await expect(result).rejects.toMatchObject({ code: "device-lost" });
    expect(destroy).toHaveBeenCalledTimes(2);
  });
});

describe("a coarse clock", () => {
  test.each([1, 16, 100])(
    "of %d ms tells candidates apart that take less than its grain",
    async (grainMs) => {
      const { winner, measured } = await measure(fakes(0.6, 0.3, 0.9, 3), { grainMs }).result;
      expect(winner.candidate.ms).toBe(0.3);
      for (const { candidate, samples } of measured) {
        for (const sample of samples) {
          expect(sample).toBeGreaterThan(0.7 * candidate.ms);
          expect(sample).toBeLessThan(1.4 * candidate.ms);
        }
      }
    },
  );

  test("never asks for much more work at once than it has seen done", async () => {
    const asked: number[] = [];
    const run = async (times: number) => {
      asked.push(times);
      return { ms: times < 1000 ? 0 : 50, grainMs: 1 };
    };
    const prepare = async (): Promise<PreparedCandidate> => ({
      run,
      check: async () => ({ time: { ms: 0, grainMs: 1 } }),
      destroy() {},
    });
    await measureCandidates({ candidates: [1], name: String, prepare, budgetMs: 1 });
    expect(asked).toEqual([1, 16, 256, 4096]);
  });

  test("that stands still is refused, with no rate made of its zeros", async () => {
    const prepare = async (): Promise<PreparedCandidate> => ({
      run: async () => ({ ms: 0, grainMs: 0 }),
      check: async () => ({ time: { ms: 0, grainMs: 0 } }),
      destroy() {},
    });
    const still = measureCandidates({ candidates: [1, 2, 3], name: String, prepare, budgetMs: 300 });
    await expect(still).rejects.toMatchObject({ code: "unsupported", message: /a time of 0/ });
  });

  test("is known by its steps", () => {
    let reading = 0;
    expect(grainOf(() => 16 * Math.floor(reading++ / 100))).toBe(16);
    expect(grainOf(() => 7)).toBe(100);
  });
});
