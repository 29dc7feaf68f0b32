import type { KeyShift } from "../../kernels/_calibration/shift/types.js";
import type { StatisticsRequest } from "../../kernels/_calibration/statistics/options.js";
import { SOFTMAX_CASES, type SoftmaxCase } from "../../kernels/softmax/cases.js";
import { attentionCalibration, type HeadOperation } from "../../src/hooks/index.js";
import type { AttentionContext } from "../../src/index.js";
import { type InterventionRun, runIntervention } from "../support/intervention-run.js";
import { runShift, type ShiftCase } from "../support/shift-run.js";
import { checkStatisticsCase, type StatisticsRun } from "../support/statistics-run.js";
import { type Attempt, attempts, beyond, type CaseChecks } from "./attempts.js";

/** Each kernel around softmax attention, each storage, odd widths, every way to hide keys: most of a check's seconds is LLVM compiling it. */
export function checkCalibration(device: GPUDevice): Promise<CaseChecks> {
  return attempts(device, async (ctx, attempt) => {
    await checkMixes(ctx, attempt);
    await checkShifts(ctx, attempt);
    await checkStatistics(ctx, attempt);
  });
}

const towards = (target: "identity" | "uniform" | "meanQuery" | "argmax", path?: "slerp" | "logLinear") =>
  ({ kind: "mix", target, u: 0.4, ...(path && { path }) }) as const;

const ON_HEADS: readonly (readonly HeadOperation[])[] = [
  [towards("identity"), attentionCalibration({ theta: 0.1 })],
  [towards("uniform")],
  [towards("argmax"), { kind: "gain", output: 0.5 }],
  [towards("meanQuery"), towards("identity", "slerp")],
  [{ kind: "scale", logits: 1.4 }, towards("identity", "logLinear")],
  [],
];

async function checkMixes(ctx: AttentionContext, attempt: Attempt): Promise<void> {
  const base = { tokensQ: 13, tokensK: 17, batches: 2, heads: ON_HEADS.length, kvHeads: 3, spread: 2 };
  const runs: readonly (readonly [string, InterventionRun])[] = [
    ["causal, lengths", { ...base, headDim: 8, options: { causal: true, keyLengths: [17, 14] } }],
    [
      "window, key mask, sink logits, odd widths",
      {
        ...{ ...base, headDim: 7, valueDim: 5 },
        options: {
          window: { left: 6 },
          keyMask: Array.from({ length: 34 }, (_, n) => (n % 5 === 2 ? 0 : 1)),
          sinkLogits: [0.5, 0, -1, 0.2, 0.1, 1],
        },
      },
    ],
    ["f16, odd widths", { ...base, headDim: 5, valueDim: 3, dtype: "f16", options: { causal: true } }],
  ];
  const operations = new Map(ON_HEADS.map((listed, head) => [head, listed] as const));
  for (const [name, run] of runs)
    await attempt(`operations: ${name}`, async () => {
      const { out, outTolerance, lse } = await runIntervention(ctx, { ...run, operations });
      return beyond(out, outTolerance) ?? beyond(lse, 1e-5);
    });
}

const problem: SoftmaxCase = {
  ...{ name: "shift", batches: 1, tokensQ: 37, tokensK: 37, heads: 2, kvHeads: 2, headDim: 16, valueDim: 16 },
  ...{ dtype: "f32", kvDtype: "f32", options: { causal: true } },
};
const image = { range: [5, 22] } as const;
const redistribution: KeyShift = {
  sinks: { hidden: { dims: [3, 1], tau: 5 } },
  keep: 0.4,
  recipients: image,
  rows: { from: 22 },
  gate: { mass: [image, 0.2], ratio: [image, image, 0.5] },
};
const both = (shift: KeyShift) => new Map([0, 1].map((head) => [head, shift] as const));

async function checkShifts(ctx: AttentionContext, attempt: Attempt): Promise<void> {
  const hidden = { channels: 48, huge: [3, 17] };
  const f16 = { ...problem, dtype: "f16", kvDtype: "f16", headDim: 5, valueDim: 7 } as const;
  const cases: readonly (readonly [ShiftCase, "after" | "within"])[] = [
    [{ name: "redistribution", problem, heads: both(redistribution), hidden }, "within"],
    [{ name: "redistribution after attention", problem, heads: both(redistribution), hidden }, "after"],
    [
      { name: "redistribution, f16 of odd widths", problem: f16, heads: both(redistribution), hidden },
      "within",
    ],
    [
      {
        name: "calibration with nothing but sinks",
        problem: { ...problem, options: { causal: true, keyMask: "random", rope: { dim: 12 } } },
        heads: both({ sinks: { keys: [0, 1, 2, 3, 9] }, keep: 0, recipients: "nonsinks" }),
      },
      "after",
    ],
  ];
  for (const [given, how] of cases)
    await attempt(given.name, async () => {
      const { out, tolerance, shifted } = await runShift(ctx, given, how);
      return shifted > 0 ? beyond(out, tolerance) : "no row is shifted";
    });
}

const STATISTICS: StatisticsRequest = {
  ...{ receivedMean: true, receivedMax: true, futureInfluence: { low: 2, high: 9 } },
  ...{ mass: [{ range: [1, 7] }, { keys: [0, 3] }], entropy: true, distance: true, windowedDistance: 6 },
  ...{ topKeys: 5, diagonals: [0, 2], map: { rows: 3, columns: 5 }, headDiversity: true },
};

async function checkStatistics(ctx: AttentionContext, attempt: Attempt): Promise<void> {
  const runs: readonly (readonly [string, Partial<StatisticsRun>])[] = [
    ["options with bit 0 = 1, tiled", {}],
    ["options with bit 1 = 0, split", { rowTerms: true }],
    ["f16 f16, head dim 15", {}],
  ];
  for (const [name, run] of runs)
    await attempt(`statistics: ${name}`, async () => {
      const found = SOFTMAX_CASES.find((known) => known.name === name)!;
      const errors = await checkStatisticsCase(ctx, { problem: found, statistics: STATISTICS, ...run });
      const wrong = Object.entries(errors).filter(
        ([of, error]) => !(error <= (of === "headDiversity" ? 5e-5 : 1e-5)),
      );
      return wrong.length > 0 ? JSON.stringify(wrong) : undefined;
    });
}
