import { describe, expect, it } from "vitest";
import { minimumCapabilities } from "../../test/support/capabilities.js";
import { NORMAL_SOURCE, normalSource } from "../_playground/normal-source.js";
import { fieldsOf, filledIn } from "../_playground/values.js";
import { makeCaseInputs } from "./case-inputs.js";
import { SOFTMAX_CASES } from "./cases.js";
import { VALUE_OPTION_NAMES } from "./options.js";
import { checkCase, fieldOfSubject } from "./playground/check-values.js";
import { type PlaygroundCase, readValues, valuesOf } from "./playground/read-values.js";
import { verifyRun } from "./playground/verify-run.js";
import { weightsPicture } from "./playground/weights-picture.js";
import playground from "./playground.js";
import { softmaxAttentionReference } from "./reference.js";
import { rowInputs, spreadRows } from "./sampled-rows.js";

const fields = fieldsOf(playground);
const initial = filledIn(fields, {});
const presets = playground.presets.flatMap((group) => group.presets);
const capabilities = minimumCapabilities();
const signal = new AbortController().signal;
const inputsOf = (problem: PlaygroundCase) => makeCaseInputs(problem, normalSource());

function problemWith(values: Record<string, string>): PlaygroundCase {
  return readValues({ ...initial, ...values });
}

/** Every option at once, two batch entries, grouped heads. */
const RICH = problemWith({
  ...{ batches: "2", tokensQ: "5", tokensK: "9", heads: "4", kvHeads: "2", headDim: "6", valueDim: "3" },
  ...{ causal: "on", queryOffset: "end", "window.left": "7", keyStarts: "1, 0", keyLengths: "9, 6" },
  ...{ keyMask: "random", scale: "0.7", softcap: "3", alibiSlopes: "on", sinkLogits: "on", bias: "on" },
  ...{ rope: "on", "rope.dim": "4", lse: "on" },
});

describe("the fields", () => {
  it("have names of their own, and a possible initial value", () => {
    const names = fields.map(({ name }) => name);
    expect(new Set(names).size).toBe(names.length);
    expect(() => playground.check(initial, capabilities)).not.toThrow();
  });

  it.each(VALUE_OPTION_NAMES)("include one for the option %s", (option) => {
    expect(fields.map(({ name }) => name.split(".")[0])).toContain(option);
  });

  it("describe every test case completely", () => {
    for (const problem of SOFTMAX_CASES) {
      const { fused, lse, ...read } = readValues(filledIn(fields, valuesOf(problem)));
      expect({ ...read, name: problem.name }).toEqual(problem);
      expect({ fused, lse }).toEqual({ fused: false, lse: false });
    }
  });

  it("take every preset", () => {
    for (const { name, values } of presets) {
      expect(() => playground.check(filledIn(fields, values), capabilities), name).not.toThrow();
      expect(Object.keys(values).filter((key) => !(key in initial))).toEqual([]);
    }
  });

  it.each([
    [{ heads: "3", kvHeads: "2" }, "shape", "heads"],
    [{ tokensQ: "1.5" }, "shape", "tokensQ"],
    [{ tokensK: "" }, "shape", "tokensK"],
    [{ headDim: "300" }, "unsupported", "headDim"],
    [{ scale: "wide" }, "shape", "scale"],
    [{ softcap: "-1" }, "shape", "softcap"],
    [{ queryOffset: "middle" }, "shape", "queryOffset"],
    [{ "window.left": "-1" }, "shape", "window.left"],
    [{ keyLengths: "3, 4" }, "shape", "keyLengths"],
    [{ keyStarts: "1000" }, "shape", "keyStarts"],
    [{ rope: "on", "rope.dim": "7" }, "shape", "rope.dim"],
    [{ rope: "on", "rope.frequencies": "1, 2" }, "shape", "rope.frequencies"],
    [{ layout: "fused", tokensQ: "8" }, "shape", "tokensK"],
    [{ layout: "fused", kvDtype: "f16" }, "dtype", "kvDtype"],
    [{ tokensQ: "100000", tokensK: "100000" }, "limit", undefined],
  ])("refuse %j with the library's error, at the right field", (values, code, field) => {
    const found = errorOf(() => playground.check({ ...initial, ...values }, capabilities));
    expect(found.code).toBe(code);
    if (field) expect(fieldOfSubject(found.details.subject)).toBe(field);
  });
});

function errorOf(call: () => void): { code: string; details: { subject: string } } {
  try {
    call();
  } catch (error) {
    return error as { code: string; details: { subject: string } };
  }
  throw new Error("no error");
}

describe("verification", () => {
  it("cuts rows out that the whole problem has too", () => {
    const inputs = inputsOf(RICH);
    const whole = softmaxAttentionReference({ ...inputs, ...inputs.options });
    for (const position of spreadRows(2, 5, 100)) {
      const row = position.batch * 5 + position.query;
      for (const head of [undefined, 0, 3]) {
        const part = softmaxAttentionReference(rowInputs(inputs, position, head));
        const heads = head === undefined ? [0, 1, 2, 3] : [head];
        const expected = heads.flatMap((h) => [...whole.out.slice((row * 4 + h) * 3, (row * 4 + h + 1) * 3)]);
        expect([...part.out]).toEqual(expected.map((value) => expect.closeTo(value, 12)));
        expect([...part.lse]).toEqual(heads.map((h) => whole.lse[row * 4 + h]));
      }
    }
  });

  it("spreads rows over all, first and last included", () => {
    expect(spreadRows(2, 50, 3).map(({ batch, query }) => [batch, query])).toEqual([
      [0, 0],
      [1, 0],
      [1, 49],
    ]);
    expect(spreadRows(1, 4, 100)).toHaveLength(4);
  });

  it("passes what is right and fails what is not, even one number", async () => {
    const inputs = inputsOf(RICH);
    const { out, lse } = softmaxAttentionReference({ ...inputs, ...inputs.options });
    const verified = async (change: (values: Float32Array) => void) => {
      const written = { out: Float32Array.from(out), lse: Float32Array.from(lse) };
      change(written.out);
      const { outputs, extent } = await verifyRun(RICH, inputs, written, signal);
      expect(extent).toBe("all 40 rows");
      return outputs.map(({ error, tolerance }) => error <= tolerance);
    };
    expect(await verified(() => {})).toEqual([true, true]);
    expect(await verified((values) => (values[7]! += 1e-3))).toEqual([false, true]);
    expect(await verified((values) => (values[7] = Number.NaN))).toEqual([false, true]);
  });

  it("notices an unwritten value in rows that it does not compare", async () => {
    const long = problemWith({ tokensQ: "4000", tokensK: "600", heads: "1", kvHeads: "1" });
    const inputs = inputsOf(long);
    const written = new Float32Array(4000 * 64);
    const rows = spreadRows(1, 4000, Math.floor(5e7 / (600 * 128)));
    for (const position of rows) {
      const { out } = softmaxAttentionReference(rowInputs(inputs, position));
      written.set(out, position.query * 64);
    }
    const first = await verifyRun(long, inputs, { out: written }, signal);
    expect(first.extent).toMatch(/^651 of 4000 rows/);
    expect(first.outputs[0]!.error).toBeLessThan(1e-6);
    written[64 * 3] = Number.NaN;
    const second = await verifyRun(long, inputs, { out: written }, signal);
    expect(second.outputs[0]!.error).toBe(Number.POSITIVE_INFINITY);
  });

  it("draws weights that sum to one, and nothing where keys are hidden", async () => {
    const causal = problemWith({ tokensQ: "16", tokensK: "16", causal: "on" });
    const { values, rows, columns } = await weightsPicture(inputsOf(causal), signal);
    expect([rows.length, columns.length]).toEqual([16, 16]);
    for (let row = 0; row < 16; row++) {
      const weights = [...values.slice(row * 16, row * 16 + 16)];
      expect(weights.reduce((sum, weight) => sum + weight)).toBeCloseTo(1, 10);
      expect(weights.slice(row + 1).every((weight) => weight === 0)).toBe(true);
    }
    const long = problemWith({ tokensQ: "1", tokensK: "1000", heads: "2", kvHeads: "1" });
    const decode = await weightsPicture(inputsOf(long), signal);
    expect([decode.rows, decode.columns.at(-1)]).toEqual([["query 0"], "keys 992 to 999"]);
  });
});

describe("the program", () => {
  it("draws the page's numbers", () => {
    // Only the types have to go for JavaScript to read it.
    const source = NORMAL_SOURCE.replaceAll(/\): number/g, ")");
    const theirs = new Function(`${source}\nreturn normal;`)() as () => number;
    const ours = normalSource();
    for (let i = 0; i < 100; i++) expect(theirs()).toBe(ours());
  });

  it("says nothing of options that are not set", () => {
    const plain = playground.snippet(initial, { name: "table", label: "" });
    expect(plain).toContain("await softmaxAttention(ctx, q, k, v);");
    for (const option of VALUE_OPTION_NAMES) expect(plain).not.toContain(option);
  });

  it("names every option that is set", () => {
    const snippet = playground.snippet(
      { ...initial, ...Object.fromEntries(richValues()) },
      { name: "table", label: "" },
    );
    for (const option of VALUE_OPTION_NAMES) expect(snippet).toMatch(new RegExp(`^  ${option}(:|,)`, "m"));
  });

  it("checks as the page does", () => {
    expect(checkCase(RICH, capabilities)).toMatchObject({ alibi: true, sinks: true, keyMask: true });
  });
});

function richValues(): [string, string][] {
  return Object.entries(valuesOf(RICH));
}
