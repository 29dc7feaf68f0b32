import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { bitsOfWindow, textWindows } from "./evaluate.js";
import { accuracyFigure, agrees, bitsFigure, recognisedFigure } from "./figures.js";
import { heldOutText } from "./held-out-text.js";

const REPORT = new URL("../../demo/public/models/lm-softmax/training.json", import.meta.url);

test("the held-out text is the one that the reports are of", () => {
  const { held_out } = JSON.parse(readFileSync(REPORT, "utf8")).data;
  const bytes = Buffer.from(heldOutText(), "utf8");
  expect(bytes).toHaveLength(held_out.bytes);
  expect(createHash("sha256").update(bytes).digest("hex")).toBe(held_out.sha256);
});

test("windows predict each token once, from at most a context", () => {
  expect(textWindows(1000, 512)).toEqual([
    { begin: 0, from: 0, end: 512 },
    { begin: 256, from: 512, end: 768 },
    { begin: 488, from: 768, end: 1000 },
  ]);
  expect(textWindows(100, 512)).toEqual([{ begin: 0, from: 0, end: 100 }]);
});

test("bits are those of the predicted tokens, behind the begin token", async () => {
  const asked: number[][] = [];
  const model = {
    config: { tokens: { vocabulary: 4, bos: 3 } },
    // Each token is followed by the next one, at even odds with token 0.
    logits: async (ids: ArrayLike<number>) => {
      asked.push(Array.from(ids));
      return Float32Array.from(
        Array.from(ids).flatMap((id) =>
          [0, 1, 2, 3].map((next) => (next === (id + 1) % 4 || next === 0 ? 0 : -1e9)),
        ),
      );
    },
  };
  const window = { begin: 1, from: 2, end: 4 };
  expect(await bitsOfWindow(model as never, [9, 0, 1, 2], window)).toBeCloseTo(2, 10);
  expect(asked).toEqual([[3, 0, 1]]);
});

test("figures agree within rounding, and shares of other samples within chance", () => {
  expect(agrees(bitsFigure("lm", 1.5, 1.5001))).toBe(true);
  expect(agrees(bitsFigure("lm", 1.5, 1.502))).toBe(false);
  expect(agrees(accuracyFigure("image", 0.9, 9002, 10_000))).toBe(true);
  expect(agrees(accuracyFigure("image", 0.9, 8990, 10_000))).toBe(false);
  const report = { recognised: 0.9, samples: 1000 };
  expect(agrees(recognisedFigure("dit", report, 870, 1000))).toBe(true);
  expect(agrees(recognisedFigure("dit", report, 840, 1000))).toBe(false);
});
