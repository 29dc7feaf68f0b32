import { describe, expect, it } from "vitest";
import { golden } from "../reference/golden-case.js";
import { allHeads, type Head } from "./head.js";
import { type HeadSearchOptions, type HeadSearchState, headSearch } from "./head-search.js";

interface Params {
  readonly L: number;
  readonly H: number;
  readonly M: number;
  readonly R: number;
  readonly k: number;
}

const { params, tensor } = golden<Params>("headhunter_select");
const unary = tensor("input.unary");
const pair = tensor("input.pair");
const { L, H, M, R, k } = params;

/** The golden file's objective: a sum over heads, and over pairs of them. */
function objective(heads: readonly Head[], sample: number): number {
  const flat = heads.map(({ layer, head }) => layer * H + head);
  let total = 0;
  for (const [index, a] of flat.entries()) {
    total += unary[sample * L * H + a]!;
    for (const b of flat.slice(0, index)) total += pair[a * L * H + b]!;
  }
  return total;
}

const options: HeadSearchOptions = { candidates: allHeads(L, H), rounds: R, topK: k, samples: M, objective };

describe("headSearch", () => {
  it("chooses as the published algorithm does", async () => {
    const { heads, rounds } = await headSearch(options);
    const layerHead = tensor("expect.layer_head");
    expect(heads.flatMap(({ layer, head }) => [layer, head])).toEqual(Array.from(layerHead));
    const scores = rounds.flatMap((round) => round.scores);
    const expected = Array.from(tensor("expect.scores"));
    expect(scores.map((score) => score === null)).toEqual(expected.map(Number.isNaN));
    for (const [index, score] of scores.entries())
      if (score !== null) expect(score).toBeCloseTo(expected[index]!, 12);
    const after = rounds
      .map((_, round) => heads.slice(0, (round + 1) * k))
      .map((chosen) => {
        const samples = Array.from({ length: M }, (_, sample) => objective(chosen, sample));
        return samples.reduce((a, b) => a + b) / M;
      });
    for (const [round, value] of after.entries())
      expect(value).toBeCloseTo(tensor("expect.objective_after_round")[round]!, 12);
  });

  it("breaks ties in (layer, head) order, whatever the order of the candidates", async () => {
    const candidates = allHeads(2, 2).reverse();
    const { heads } = await headSearch({ candidates, rounds: 2, topK: 2, objective: async () => 1 });
    expect(heads).toEqual(allHeads(2, 2));
  });

  it("stops at a signal and resumes from any snapshot, through JSON, without evaluating twice", async () => {
    const whole = await headSearch(options);
    const total = M * (24 + 22 + 20);
    for (const stopAt of [1, 7, M * 24, M * 24 + 1, total - 1]) {
      const controller = new AbortController();
      let state: HeadSearchState | undefined;
      const stopped = headSearch({
        ...options,
        signal: controller.signal,
        onProgress: ({ done, total: all, snapshot }) => {
          expect(all).toBe(total);
          if (done !== stopAt) return;
          state = JSON.parse(JSON.stringify(snapshot())) as HeadSearchState;
          controller.abort(new Error("enough"));
        },
      });
      await expect(stopped).rejects.toMatchObject({ name: "AttentionError", code: "aborted" });
      let calls = 0;
      const counted = (heads: readonly Head[], sample: number) => {
        calls++;
        return objective(heads, sample);
      };
      expect(await headSearch({ ...options, objective: counted, resume: state })).toEqual(whole);
      expect(calls).toBe(total - stopAt);
    }
  });

  it("says that it was stopped, whatever the objective throws then", async () => {
    const controller = new AbortController();
    const objective = () => {
      controller.abort();
      throw new Error("stopped in the middle");
    };
    const stopped = headSearch({ ...options, objective, signal: controller.signal });
    await expect(stopped).rejects.toMatchObject({ name: "AttentionError", code: "aborted" });
  });

  it("passes on what the objective throws", async () => {
    const objective = () => {
      throw new RangeError("out of prompts");
    };
    await expect(headSearch({ ...options, objective })).rejects.toThrow(RangeError);
  });

  it.each<[string, Partial<HeadSearchOptions>]>([
    ["shape", { candidates: [] }],
    [
      "shape",
      {
        candidates: [
          { layer: 0, head: 1 },
          { layer: 0, head: 1 },
        ],
      },
    ],
    ["shape", { candidates: [{ layer: 0, head: -1 }] }],
    ["shape", { rounds: 13 }],
    ["shape", { topK: 0 }],
    ["shape", { samples: 1.5 }],
    ["shape", { objective: () => Number.NaN }],
    ["unsupported", { rouns: 1 } as object],
    ["format", { resume: { search: "headSearch", settings: {}, rounds: [], values: [] } as never }],
  ])("refuses what does not fit: %s %j", async (code, change) => {
    await expect(headSearch({ ...options, ...change })).rejects.toMatchObject({
      name: "AttentionError",
      code,
    });
  });
});
