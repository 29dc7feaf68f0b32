import { describe, expect, it } from "vitest";
import { golden } from "../reference/golden-case.js";
import { allHeads } from "./head.js";
import { copiedTokenScore, type RetrievalHeadsState, retrievalHeads } from "./retrieval-heads.js";

const { params, tensor, headValues } = golden<{ H: number; generated: number; prompt: number }>(
  "attention_influence",
);

function argmaxKeys(head: number): number[] {
  const weights = Array.from(headValues("input.weights", head));
  const keys = params.prompt + params.generated;
  return Array.from({ length: params.generated }, (_, row) => {
    const own = weights.slice(row * keys, (row + 1) * keys);
    return own.indexOf(Math.max(...own));
  });
}

const scoreOf = (head: number) =>
  copiedTokenScore({
    tokens: tensor("input.tokens"),
    argmaxKeys: argmaxKeys(head),
    answer: tensor("input.answer_tokens"),
  });

describe("copiedTokenScore", () => {
  it("is the published score", () => {
    const scores = Array.from({ length: params.H }, (_, head) => scoreOf(head));
    expect(scores).toEqual(Array.from(tensor("expect.retrieval_score")));
  });

  it("counts a token once, no key at or after the token, and none that is missing", () => {
    const tokens = [7, 8, 7, 7, 8];
    expect(copiedTokenScore({ tokens, argmaxKeys: [0, 0, 1], answer: [7, 8, 7, 9] })).toBe(2 / 3);
    expect(copiedTokenScore({ tokens, argmaxKeys: [2, 3, 4], answer: [7] })).toBe(0);
    expect(copiedTokenScore({ tokens, argmaxKeys: [-1, -1, -1], answer: [7] })).toBe(0);
  });

  it("refuses an empty answer and keys without tokens", () => {
    const shape = expect.objectContaining({ code: "shape" });
    expect(() => copiedTokenScore({ tokens: [1], argmaxKeys: [0], answer: [] })).toThrow(shape);
    expect(() => copiedTokenScore({ tokens: [1], argmaxKeys: [0, 0], answer: [1] })).toThrow(shape);
  });
});

describe("retrievalHeads", () => {
  const candidates = allHeads(1, params.H);

  it("takes the best share, ties in order", async () => {
    const observe = async () => candidates.map(({ head }) => scoreOf(head));
    const { heads, scores } = await retrievalHeads({ candidates, observe, share: 0.6 });
    expect(heads.map(({ head }) => head)).toEqual([0, 1, 2, 3]);
    expect(scores.map(({ score }) => score)).toEqual(Array.from(tensor("expect.retrieval_score")));
    expect((await retrievalHeads({ candidates, observe })).heads).toEqual([candidates[0]]);
  });

  it("averages over samples, and resumes", async () => {
    const observe = (heads: readonly unknown[], sample: number) => heads.map((_, index) => index * sample);
    let state: RetrievalHeadsState | undefined;
    const options = { candidates, samples: 4, observe };
    const whole = await retrievalHeads({
      ...options,
      onProgress: ({ done, snapshot }) => {
        if (done === 2) state = snapshot();
      },
    });
    expect(whole.scores[3]!.score).toBe(4.5);
    const asked: number[] = [];
    const resumed = await retrievalHeads({
      ...options,
      resume: state,
      observe: (heads, sample) => {
        asked.push(sample);
        return observe(heads, sample);
      },
    });
    expect(resumed).toEqual(whole);
    expect(asked).toEqual([2, 3]);
  });

  it.each([
    ["shape", { observe: () => [1] }],
    ["shape", { observe: () => candidates.map(() => Number.NaN) }],
    ["shape", { share: 2 }],
  ])("refuses what does not fit: %s", async (code, change) => {
    const options = { candidates, observe: () => candidates.map(() => 0), ...change };
    await expect(retrievalHeads(options)).rejects.toMatchObject({ code });
  });
});
