import { describe, expect, it } from "vitest";
import { type ChooseHeadsState, chooseHeads } from "./choose-heads.js";
import { allHeads, type Head } from "./head.js";

/** Accuracy of two tasks: head 1 helps the first, head 2 the second more than it harms the first, head 3 does nothing. */
const GAINS = [
  [-0.1, 0.05],
  [0.1, 0],
  [-0.05, 0.3],
  [0, 0],
] as const;
const objective = (heads: readonly Head[], task: number) =>
  0.5 + heads.reduce((total, { head }) => total + GAINS[head]![task]!, 0);

describe("chooseHeads", () => {
  const candidates = allHeads(1, 4);

  it("keeps the heads that alone raise the average", async () => {
    const { heads, baseline, scores, values } = await chooseHeads({ candidates, samples: 2, objective });
    expect(heads.map(({ head }) => head)).toEqual([1, 2]);
    expect(baseline).toBe(0.5);
    expect(scores[0]!.score).toBeCloseTo(0.475, 12);
    expect(values[3]).toEqual([0.45, 0.8]);
  });

  it("weighs tasks by their size", async () => {
    const { heads } = await chooseHeads({ candidates, samples: 2, weights: [900, 100], objective });
    expect(heads.map(({ head }) => head)).toEqual([1]);
  });

  it("asks for a least gain", async () => {
    const { heads } = await chooseHeads({ candidates, samples: 2, minGain: 0.1, objective });
    expect(heads.map(({ head }) => head)).toEqual([2]);
  });

  it("resumes", async () => {
    const states: ChooseHeadsState[] = [];
    const whole = await chooseHeads({
      candidates,
      samples: 2,
      objective,
      onProgress: ({ snapshot }) => states.push(snapshot()),
    });
    expect(states).toHaveLength(10);
    const resume = JSON.parse(JSON.stringify(states[6])) as ChooseHeadsState;
    let calls = 0;
    const counted = (heads: readonly Head[], task: number) => {
      calls++;
      return objective(heads, task);
    };
    expect(await chooseHeads({ candidates, samples: 2, objective: counted, resume })).toEqual(whole);
    expect(calls).toBe(3);
  });

  it.each([
    ["shape", { weights: [1] }],
    ["shape", { weights: [0, 0] }],
    ["shape", { weights: [2, -1] }],
    ["shape", { minGain: Number.NaN }],
    [
      "format",
      { samples: 2, resume: { search: "chooseHeads", settings: { candidates, samples: 1 }, values: [] } },
    ],
    ["format", { resume: { search: "chooseHeads", settings: { candidates, samples: 2 }, values: [[null]] } }],
  ])("refuses what does not fit: %s %j", async (code, change) => {
    const options = { candidates, samples: 2, objective, ...(change as object) };
    await expect(chooseHeads(options)).rejects.toMatchObject({ code });
  });
});
