import { expect, test } from "vitest";
import { bars, formatRuntime } from "./bars.js";
import type { DescribedStep, RuntimeReport } from "./results.js";

const step = (weights: DescribedStep["weights"], bytes: number, dispatches = 6): DescribedStep => ({
  ...{ model: "lm-softmax", weights, cache: "f32", capacity: 128 },
  pass: {
    ...{ dispatches: 26, cost: { flops: 1, bytes } },
    layers: [
      { dispatches: 5, cost: { flops: 1, bytes: 1 } },
      { dispatches, cost: { flops: 1, bytes: 1 } },
    ],
  },
});

const report: RuntimeReport = {
  ...{ date: "2026-01-01", adapter: "a driver", software: true },
  recordings: [{ model: "lm-softmax", error: 1e-6, samples: [0.2, 0.4, 0.9], dispatches: 27 }],
  positions: {
    model: "lm-lightning",
    error: 1e-6,
    positions: [10, 2000],
    near: [10, 20, 10],
    far: [10, 21, 30],
  },
  steps: [step("f32", 100), step("f16", 55), step("q4", 32)],
  loads: [{ model: "lm-softmax", dtype: "stored", read: [60, 70], convert: [30, 15], upload: [10, 15] }],
};

test("bars are met up to what each may be", () => {
  expect(bars(report).map(({ value, met }) => [Number(value.toFixed(3)), met])).toEqual([
    [0.4, true],
    [6, true],
    [1.05, true],
    [0.55, true],
    [0.32, true],
    [0.225, true],
  ]);
});

test("bars are not met beyond", () => {
  const worse: RuntimeReport = {
    ...report,
    recordings: [{ ...report.recordings[0]!, samples: [0.6] }],
    positions: { ...report.positions, far: [12, 24, 12] },
    steps: [step("f32", 100, 7), step("f16", 56), step("q4", 33)],
    loads: [{ ...report.loads[0]!, convert: [60, 60] }],
  };
  expect(bars(worse).map(({ met }) => met)).toEqual([false, false, false, false, false, false]);
});

test("the report says what driver it is of, and every figure", () => {
  const text = formatRuntime(report);
  expect(text).toContain("This adapter is a CPU driver");
  expect(text).toMatch(/ms of JavaScript to record a decode step +0\.400 +0\.5 +yes/);
  expect(text).toMatch(/at 2000 +21\.0 \(10\.0 to 30\.0\)/);
});
