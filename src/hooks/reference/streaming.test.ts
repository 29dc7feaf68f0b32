import { describe, expect, it } from "vitest";
import { difference } from "../../../test/support/compare.js";
import { headRows } from "./dense-tensor.js";
import { golden } from "./golden-case.js";
import { streamingDecode } from "./streaming.js";

describe("streamingDecode", () => {
  const { params, tokensFirst, tensor } = golden<{ start: number; recent: number; H: number }>(
    "streaming_cache",
  );

  it.each([0, 1])(
    "keeps the first and the newest keys, at the places they have in the cache; head %d",
    (h) => {
      const [q, k, v] = ["q", "k", "v"].map((name) => headRows(tokensFirst(`input.${name}`), 0, h));
      const steps = streamingDecode(q!, k!, v!, { firstKeys: params.start, window: params.recent });
      for (const [step, { out, cached }] of steps.entries()) {
        const begin = (step * params.H + h) * 16;
        const expected = Array.from(tensor("expect.out64")).slice(begin, begin + 16);
        expect(difference(out, expected).maxAbsolute).toBeLessThan(1e-10);
        expect(cached).toHaveLength(tensor("expect.length")[step]!);
      }
    },
  );
});
