import { describe, expect, it } from "vitest";
import { type Encoder, SearchSession } from "./search-session.js";

/** Embeds a text by how many whales and ships are in it, and counts what it was asked. */
class CountingEncoder implements Encoder {
  readonly asked: string[] = [];

  async encode(sentences: readonly string[], { signal }: { signal?: AbortSignal | undefined }) {
    signal?.throwIfAborted();
    this.asked.push(...sentences);
    return sentences.map((sentence) => {
      const counts = ["whale", "ship"].map((word) => sentence.split(word).length - 1);
      const length = Math.hypot(...counts) || 1;
      return Float32Array.from(counts, (count) => count / length);
    });
  }
}

const passages = ["a ship", "a whale", "a whale and a ship", "a ship and a ship and a whale"];

describe("SearchSession", () => {
  it("ranks the passages and compares query and results with each other", async () => {
    const { ranking, similarities, encoded } = await new SearchSession(new CountingEncoder()).search(
      passages,
      "the whale",
      { top: 2 },
    );
    expect(ranking.map(({ index }) => index)).toEqual([1, 2]);
    expect(encoded).toBe(5);
    expect(similarities).toHaveLength(3);
    expect(similarities[0]![2]).toBeCloseTo(Math.SQRT1_2, 6);
  });

  it("embeds no text twice", async () => {
    const encoder = new CountingEncoder();
    const session = new SearchSession(encoder);
    await session.search([...passages, passages[0]!], "the whale", { top: 1 });
    await session.search(passages, "the ship", { top: 1 });
    expect(encoder.asked).toEqual(["the whale", ...passages, "the ship"]);
  });

  it("reports progress up to the whole", async () => {
    const many = Array.from({ length: 70 }, (_, i) => `ship ${i}`);
    const reports: string[] = [];
    const session = new SearchSession(new CountingEncoder());
    await session.search(many, "whale", {
      top: 1,
      onProgress: (done, total) => reports.push(`${done}/${total}`),
    });
    expect(reports).toEqual(["32/71", "64/71", "71/71"]);
  });

  it("keeps what a cancelled search has embedded", async () => {
    const encoder = new CountingEncoder();
    const session = new SearchSession(encoder);
    const controller = new AbortController();
    const many = Array.from({ length: 70 }, (_, i) => `ship ${i}`);
    const cancelled = session.search(many, "whale", {
      top: 1,
      signal: controller.signal,
      onProgress: () => controller.abort(),
    });
    await expect(cancelled).rejects.toThrow();
    expect((await session.search(many, "whale", { top: 1 })).encoded).toBe(71 - 32);
  });

  it("refuses an embedding that is not finite", async () => {
    const broken: Encoder = { encode: async (texts) => texts.map(() => Float32Array.of(Number.NaN)) };
    await expect(new SearchSession(broken).search(["a"], "b", { top: 1 })).rejects.toThrow(/finite/);
  });
});
