import { median, medianRatio, summarise } from "../statistics.js";
import { formatTable } from "../table.js";
import type { DescribedStep, LoadResult, RuntimeReport } from "./results.js";

/** Error of logits from which on nothing is timed: PyTorch adds in another order. */
export const TOLERANCE = 1e-3;

/** Most that each may be. */
const BARS = {
  recordMs: 0.5,
  dispatchesOfLayer: 6,
  /** Time a token far into a text over that near its beginning: what a machine's other work makes of 1. */
  farOverNear: 1.15,
  f16Bytes: 0.55,
  q4Bytes: 0.32,
  convertShare: 0.3,
} as const;

export interface Bar {
  readonly name: string;
  readonly value: number;
  readonly most: number;
  readonly met: boolean;
}

/** What the runtime is held to: the Llama-like model, and the recurrent one for its independence of position. */
export function bars(report: RuntimeReport): Bar[] {
  const bar = (name: string, value: number, most: number): Bar => ({ name, value, most, met: value <= most });
  const recording = report.recordings.find(({ model }) => model === "lm-softmax")!;
  const { near, far, model } = report.positions;
  const step = (weights: string) =>
    report.steps.find((described) => described.model === "lm-softmax" && described.weights === weights)!;
  const bytes = (weights: string) => step(weights).pass.cost.bytes / step("f32").pass.cost.bytes;
  const load = report.loads.find(({ dtype }) => dtype === "stored")!;
  return [
    bar("ms of JavaScript to record a decode step", median(recording.samples), BARS.recordMs),
    bar("dispatches of a layer", layerDispatches(step("f32")), BARS.dispatchesOfLayer),
    bar(`time a token of ${model}, far over near`, medianRatio(far, near), BARS.farOverNear),
    bar("bytes of a decode step, f16 over f32", bytes("f16"), BARS.f16Bytes),
    bar("bytes of a decode step, q4 over f32", bytes("q4"), BARS.q4Bytes),
    bar("conversion's share of loading", convertShare(load), BARS.convertShare),
  ];
}

/** Of the layer with the most. */
function layerDispatches({ pass }: DescribedStep): number {
  return Math.max(...pass.layers.map(({ dispatches }) => dispatches));
}

/** Round by round. */
function convertShare({ read, convert, upload }: LoadResult): number {
  return medianRatio(
    convert,
    convert.map((ms, round) => read[round]! + ms + upload[round]!),
  );
}

export function formatRuntime(report: RuntimeReport): string {
  const { recordings, positions, steps, loads } = report;
  const lines = [
    `${report.date}, ${report.adapter}`,
    ...(report.software
      ? [
          "This adapter is a CPU driver: the figures say nothing about a GPU, and compare only within this run.",
        ]
      : []),
    "Every model gave PyTorch's logits before it was timed. Times are medians (least to most); ratios are taken within each round.",
    "",
    ...formatTable(
      ["bar", "value", "at most", "met"],
      bars(report).map(({ name, value, most, met }) => [name, digits(value), `${most}`, met ? "yes" : "no"]),
    ),
    "",
    ...formatTable(
      ["a decode step", "ms to record", "dispatches", "error"],
      recordings.map(({ model, samples, dispatches, error }) => [
        model,
        spread(samples),
        `${dispatches}`,
        error.toExponential(1),
      ]),
    ),
    "",
    ...formatTable(
      ["as planned", "cache", "dispatches", "of a layer", "MiB"],
      steps.map((step) => [
        `${step.model}, ${step.weights}`,
        `${step.capacity} of ${step.cache}`,
        `${step.pass.dispatches}`,
        `${layerDispatches(step)}`,
        (step.pass.cost.bytes / 2 ** 20).toFixed(2),
      ]),
    ),
    "",
    ...formatTable(
      [positions.model, "ms a token"],
      positions.positions.map((place, n) => [
        `at ${place}`,
        spread(n === 0 ? positions.near : positions.far),
      ]),
    ),
    "",
    ...formatTable(
      ["loading", "read", "convert", "upload", "converting"],
      loads.map((load) => [
        `${load.model}, ${load.dtype}`,
        ...[load.read, load.convert, load.upload].map((samples) => `${digits(median(samples))} ms`),
        `${(100 * convertShare(load)).toFixed(0)} %`,
      ]),
    ),
  ];
  return lines.join("\n");
}

function spread(samples: readonly number[]): string {
  const { min, median: middle, max } = summarise(samples);
  return `${digits(middle)} (${digits(min)} to ${digits(max)})`;
}

function digits(value: number): string {
  return value >= 100 ? value.toFixed(0) : value.toPrecision(3);
}
