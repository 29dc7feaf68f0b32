import { describe, expect, test } from "vitest";
import type { Architecture } from "../../src/dispatch/architecture.js";
import type { Capabilities } from "../../src/dispatch/capabilities.js";
import { minimumCapabilities } from "../../test/support/capabilities.js";
import { softmaxCandidates } from "./candidates.js";
import { SOFTMAX_CASES, shapesOf } from "./cases.js";
import { checkConfiguration } from "./check-configuration.js";
import { configurationName, type SoftmaxConfiguration } from "./configuration.js";
import { planSoftmax } from "./plan.js";
import { checkProblem } from "./problem.js";
import { fits } from "./sizes.js";
import { tableConfiguration } from "./table.js";

const ARCHITECTURES: readonly Architecture[] = [
  "apple",
  "intel",
  "amd",
  "nvidia",
  "qualcomm",
  "arm",
  "swiftshader",
  "llvmpipe",
  "unknown",
];

function device(architecture: Architecture, change: Partial<Capabilities> = {}): Capabilities {
  const capabilities = minimumCapabilities();
  const software = architecture === "swiftshader" || architecture === "llvmpipe";
  return { ...capabilities, adapter: { ...capabilities.adapter, architecture }, software, ...change };
}

const shapes = SOFTMAX_CASES.map((problem) => {
  const { q, k, v } = shapesOf(problem);
  const { dtype, kvDtype } = problem;
  const tensors = {
    q: { dtype, shape: q },
    k: { dtype: kvDtype, shape: k },
    v: { dtype: kvDtype, shape: v },
  };
  return { name: problem.name, shape: checkProblem(tensors, minimumCapabilities()) };
});

describe.each(ARCHITECTURES)("%s", (architecture) => {
  test("the table's choice fits minimum limits for every case", () => {
    for (const { name, shape } of shapes) {
      const capabilities = device(architecture);
      const chosen = tableConfiguration(shape, capabilities);
      expect(fits(chosen, shape, capabilities), `${name}: ${configurationName(chosen)}`).toBe(true);
      checkConfiguration(chosen, shape, capabilities);
    }
  });

  test("candidates are several, different, valid, and begin with the table's choice", () => {
    for (const features of [{}, { subgroups: true, f16: true }]) {
      const capabilities = device(architecture, features);
      for (const { name, shape } of shapes) {
        const candidates = softmaxCandidates(shape, capabilities);
        expect(candidates[0], name).toEqual(tableConfiguration(shape, capabilities));
        expect(candidates.length, name).toBeGreaterThanOrEqual(3);
        expect(new Set(candidates.map(configurationName)).size).toBe(candidates.length);
        for (const candidate of candidates) {
          checkConfiguration(candidate, shape, capabilities);
          planSoftmax(shape, capabilities, { configuration: candidate });
        }
      }
    }
  });

  test("candidates use only features that are there", () => {
    const uses = (name: "subgroups" | "f16", capabilities: Capabilities) =>
      shapes.some(({ shape }) =>
        softmaxCandidates(shape, capabilities).some(
          (candidate) => (candidate as unknown as Record<string, unknown>)[name] === true,
        ),
      );
    for (const name of ["subgroups", "f16"] as const) {
      expect(uses(name, device(architecture))).toBe(false);
      expect(uses(name, device(architecture, { [name]: true }))).toBe(true);
    }
  });
});

describe("a configuration from outside", () => {
  const { shape } = shapes.find(({ name }) => name === "head dim 64")!;
  const rows = {
    kernel: "rows",
    threads: 8,
    rows: 4,
    keys: 8,
    columns: 16,
    subgroups: false,
    unroll: true,
    f16: false,
  } as const;
  const tiled = {
    kernel: "tiled",
    groups: 8,
    lanes: 8,
    rows: 4,
    keys: 4,
    staged: false,
    f16: false,
  } as const;

  test.each([
    ["an unknown kernel", { ...rows, kernel: "fast" }, "unsupported", /"tiled", "rows"/],
    ["nothing", null, "unsupported", /configuration.kernel/],
    ["a property of objects", { ...rows, kernel: "constructor" }, "unsupported", /configuration.kernel/],
    ["a misspelt field", { ...rows, thread: 8 }, "unsupported", /"thread"/],
    ["a missing number", { ...rows, rows: undefined }, "shape", /configuration.rows.*undefined/],
    ["a broken number", { ...rows, rows: 2.5 }, "shape", /integer from 1 to 16, got 2.5/],
    ["keys that are no quads", { ...rows, keys: 6 }, "shape", /multiple of 4 from 4 to 32/],
    ["a flag that is none", { ...tiled, staged: 1 }, "shape", /staged.*true or false/],
    ["f16 without the feature", { ...tiled, f16: true }, "unsupported", /shader-f16/],
    [
      "more than can be unrolled",
      { ...rows, rows: 16, keys: 32, columns: 64 },
      "limit",
      /8192 unrolled, got 32768/,
    ],
    ["subgroups without the feature", { ...rows, subgroups: true }, "unsupported", /subgroups/],
    [
      "threads that are no power of two",
      { kernel: "split", threads: 48, keysPerSplit: 64, f16: false },
      "shape",
      /power of two/,
    ],
    ["too many threads", { ...tiled, groups: 64 }, "limit", /512 threads/],
    ["too much workgroup memory", { ...tiled, rows: 16, keys: 8 }, "limit", /16384 bytes.*36/],
  ])("is refused for %s", (_name, configuration, code, message) => {
    const check = () => checkConfiguration(configuration as SoftmaxConfiguration, shape, device("unknown"));
    expect(check).toThrow(expect.objectContaining({ code, message: expect.stringMatching(message) }));
  });

  test("with half a quad is refused where quads share loads", () => {
    const check = () =>
      checkConfiguration(
        { ...rows, threads: 6, subgroups: true },
        shape,
        device("unknown", { subgroups: true }),
      );
    expect(check).toThrow(/whole quads/);
  });
});
