import type { Verification, VerifiedOutput } from "../../kernels/_playground/mechanism.js";
import { create } from "../common/create.js";
import { element } from "../common/elements.js";
import { plural } from "../common/format.js";
import { duration, scientific, withPrefix } from "./format.js";
import type { Measurement } from "./measure.js";
import { passesTable } from "./passes-table.js";
import type { RunReport } from "./run-problem.js";
import { weightsFigure } from "./weights-figure.js";

/** Decades that the scale shows: from float32's rounding to an error of everything. */
const DECADES = [-9, 0] as const;

const box = () => element("result", HTMLElement);

export function showResult(report: RunReport): void {
  const { verification, passes, measurement, weights } = report;
  box().replaceChildren(
    verdict(report),
    ...(measurement ? [figures(report, measurement)] : [untimed()]),
    create("div", { class: "pair" }, ...(weights ? [weightsFigure(weights)] : []), numbers(verification)),
    passesTable(passes, measurement?.passMilliseconds),
  );
  box().hidden = false;
}

export function hideResult(): void {
  box().hidden = true;
}

function verdict({ passed, verification, choice }: RunReport): HTMLElement {
  const { outputs, extent, note } = verification;
  return create(
    "section",
    { class: passed ? "verdict passed" : "verdict failed", "aria-label": "Verdict" },
    create("p", { class: "word", id: "verdict" }, passed ? "PASS" : "FAIL"),
    create(
      "div",
      { class: "evidence" },
      ...outputs.map(outputLine),
      create("p", { class: "soft" }, `Compared with float64: ${extent}. Variant: ${choice}.`),
      ...(note ? [create("p", { class: "soft" }, note)] : []),
    ),
  );
}

function outputLine({ name, error, tolerance }: VerifiedOutput): HTMLElement {
  const sentence = Number.isFinite(error)
    ? ["largest error ", create("b", {}, scientific(error)), ` of ${scientific(tolerance)} allowed`]
    : ["not a number where there should be one"];
  return create(
    "div",
    { class: error <= tolerance ? "output" : "output wrong" },
    create("p", {}, create("code", {}, name), " ", ...sentence),
    errorScale(error, tolerance),
    create(
      "p",
      { class: "scale-ends", "aria-hidden": "true" },
      ...[`1e${DECADES[0]}`, "logarithmic; the mark is the tolerance", "1"].map((text) =>
        create("span", {}, text),
      ),
    ),
  );
}

/** A logarithmic scale with the tolerance and the error on it. Says nothing that the sentence above does not. */
function errorScale(error: number, tolerance: number): HTMLElement {
  const [low, high] = DECADES;
  const place = (value: number) => {
    const decade = Math.log10(Math.max(value, 10 ** low));
    return `${(100 * (Math.min(decade, high) - low)) / (high - low)}%`;
  };
  const scale = create("div", { class: "error-scale", "aria-hidden": "true" });
  scale.style.setProperty("--error", place(error));
  scale.style.setProperty("--tolerance", place(tolerance));
  scale.append(create("span", { class: "error" }), create("span", { class: "tolerance" }));
  return scale;
}

function figures(
  { cost, segments, scratchBytes, heldBytes, software }: RunReport,
  time: Measurement,
): HTMLElement {
  const { clock, runs, milliseconds, wallMilliseconds } = time;
  const perSecond = (amount: number) => (1000 * amount) / milliseconds;
  const by = clock === "gpu" ? "GPU timestamps" : "wall clock";
  const wall = clock === "gpu" ? `; ${duration(wallMilliseconds)} wall` : "";
  return create(
    "dl",
    { class: "figures" },
    figure(
      "Time",
      duration(milliseconds),
      `${by}, ${runs === 1 ? "one run" : `median of ${runs}`}${wall}`,
      software,
    ),
    figure(
      "Speed",
      withPrefix(perSecond(cost.flops), "FLOP/s"),
      `${withPrefix(cost.flops, "FLOP")} planned`,
      software,
    ),
    figure(
      "Traffic",
      withPrefix(perSecond(cost.bytes), "B/s"),
      `${withPrefix(cost.bytes, "B")}, each tensor once`,
      software,
    ),
    figure(
      "Scratch",
      withPrefix(scratchBytes, "B"),
      `context holds ${withPrefix(heldBytes, "B")}; ${plural(segments, "segment")}`,
    ),
  );
}

function figure(name: string, value: string, detail: string, software = false): HTMLElement {
  return create(
    "div",
    {},
    create("dt", {}, name, ...(software ? [" ", create("span", { class: "badge" }, "CPU driver")] : [])),
    create("dd", { class: "value" }, value),
    create("dd", { class: "soft" }, detail),
  );
}

function untimed(): HTMLElement {
  return create("p", { class: "soft" }, "Not timed: what is wrong has no speed.");
}

/** Enough of every output to compare a program's with it. */
function numbers({ outputs }: Verification): HTMLElement {
  const entries = outputs.map(({ name, values }) => {
    const first = Array.from(values.subarray(0, 4), (value) => value.toPrecision(7));
    // Infinities, of rows that see no key, have no length.
    const norm = Math.sqrt(
      values.reduce((sum, value) => (Number.isFinite(value) ? sum + value * value : sum), 0),
    );
    return create(
      "div",
      { class: "tensor" },
      create("dt", {}, create("code", {}, name), ` ${values.length.toLocaleString("en")} numbers`),
      create(
        "dd",
        {},
        create("span", { class: "soft" }, "first "),
        create("code", { class: "first" }, first.join("  ")),
      ),
      create(
        "dd",
        {},
        create("span", { class: "soft" }, "length ‖·‖₂ "),
        create("code", { class: "norm" }, norm.toPrecision(7)),
      ),
    );
  });
  return create(
    "section",
    { class: "outputs", "aria-label": "Outputs" },
    create("h2", {}, "Outputs"),
    create("dl", {}, ...entries),
  );
}
