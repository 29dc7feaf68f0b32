import { describe, expect, it } from "vitest";
import { difference } from "../../../test/support/compare.js";
import type { ShiftOperation } from "../operations.js";
import { attentionCalibration, visualRedistribution } from "../sink-calibration/shift-operations.js";
import { type AttentionMap, attend, attentionMap, mapOfWeights } from "./attention-map.js";
import { headRows } from "./dense-tensor.js";
import { golden } from "./golden-case.js";
import { receivedMean } from "./received-statistics.js";
import { nonsinkRatio, passes, shifted, sinkPortion } from "./shift.js";
import { sinksOf } from "./sinks.js";

const TOLERANCE = 1e-9;
/** Weights that the authors' code rounded, and outputs made of these. */
const FLOAT32 = 1e-6;

const flat = (rows: readonly Float64Array[]) => rows.flatMap((row) => [...row]);
const rowOf = (map: AttentionMap, i: number) => map.weights.slice(i * map.keys, (i + 1) * map.keys);
const marked = (flags: ArrayLike<number>) => Array.from(flags).flatMap((flag, key) => (flag ? [key] : []));

describe("ACT, as the authors' code calibrates a prefill", () => {
  const { params, tensor, tokensFirst, headValues } = golden<{
    H: number;
    N: number;
    beta: number;
    heads: number[];
    scaled: number[][];
  }>("act_prefill_author");
  const v = tokensFirst("input.v");

  it.each([0, 1, 2, 3])("head %d", (h) => {
    const map = mapOfWeights(headValues("input.weights", h), params.N);
    const means = (tensor("expect.received_mean64") as Float64Array).subarray(
      h * params.N,
      (h + 1) * params.N,
    );
    expect(difference(receivedMean(map), means).maxAbsolute).toBeLessThan(TOLERANCE);
    if (!params.heads.includes(h)) return;
    // The code spares the first sink, whichever that is: its choice is given, not imitated.
    const sinks = params.scaled[h]!;
    const operation = { ...attentionCalibration({ beta: params.beta }), sinks: { keys: sinks }, protect: [] };
    const after = shifted(map, operation, sinksOf(map, operation));
    expect(difference(after.weights, headValues("expect.weights", h)).maxAbsolute).toBeLessThan(FLOAT32);
    const out = flat(attend(after, headRows(v, 0, h)));
    expect(difference(out, headValues("expect.out64", h)).maxAbsolute).toBeLessThan(FLOAT32);
  });
});

describe("ACT", () => {
  const { params, tokensFirst, tensor, headValues } = golden<{ H: number; prefill: number }>("act_toolkit");
  const [q, k, v] = ["q", "k", "v"].map((name) => {
    const { data, shape } = tokensFirst(`input.${name}`);
    const tokens = params.prefill;
    return {
      data: Array.from(data).slice(0, tokens * shape[2] * shape[3]),
      shape: [1, tokens, shape[2], shape[3]],
    };
  }) as [never, never, never];

  it.each([
    ["abs0.1", { theta: 0.1 }],
    ["alpha5_over_n", { alpha: 5 }],
  ] as const)("detects and calibrates: %s", (name, threshold) => {
    const operation = attentionCalibration(threshold);
    for (let h = 0; h < params.H; h++) {
      const map = attentionMap({ q, k, causal: true }, 0, h);
      const own = (what: string) =>
        (tensor(`expect.${name}.prefill_${what}`) as Float64Array).slice(h * 40, (h + 1) * 40);
      expect(difference(receivedMean(map), own("received_mean64")).maxAbsolute).toBeLessThan(1e-12);
      const sinks = sinksOf(map, operation);
      expect(sinks).toEqual(marked(own("sinks")));
      const out = (given: ShiftOperation) => flat(attend(shifted(map, given, sinks), headRows(v, 0, h)));
      const expected = (suffix: string) => headValues(`expect.${name}.prefill_out64${suffix}`, h);
      expect(difference(out(operation), expected("")).maxAbsolute).toBeLessThan(1e-10);
      const withoutToken0 = { ...operation, recipients: { range: [1, 40] } } as const;
      expect(difference(out(withoutToken0), expected("_token0_not_recipient")).maxAbsolute).toBeLessThan(
        1e-10,
      );
    }
  });
});

describe("VAR", () => {
  interface Params {
    readonly D: number;
    readonly H: number;
    readonly image_begin: number;
    readonly image_len: number;
    readonly p: number;
    readonly sink_dims: number[];
    readonly tau: number;
    readonly tokens: number;
  }
  const imageOf = ({ image_begin, image_len }: Params) => [image_begin, image_begin + image_len] as const;

  it.each([0.5, 0.8])("redistributes as published, rho = %d", (rho) => {
    const { params, tensor, tokensFirst, headValues } = golden<Params>("var_toolkit");
    const image = imageOf(params);
    const sinkRule = { hidden: { dims: params.sink_dims, tau: params.tau } };
    const operation = visualRedistribution({ image, p: params.p, rho, sinks: sinkRule });
    const v = tokensFirst("input.v");
    for (let h = 0; h < params.H; h++) {
      const map = mapOfWeights(headValues("input.weights", h), params.tokens);
      const sinks = sinksOf(map, operation, { data: tensor("input.hidden"), channels: params.D });
      expect(sinks).toEqual([0, 8, 15, 22]);
      const selected = Array.from(headValues(`expect.selected_rho${rho}`, 0)).slice(h * 40, (h + 1) * 40);
      for (let i = 0; i < 40; i++) {
        const row = rowOf(map, i);
        const passed = i >= image[1] && passes(operation.gate!, row, new Set(sinks));
        expect(passed ? 1 : 0).toBe(selected[i]);
        if (i < image[1]) continue;
        const ratio = nonsinkRatio(operation.gate!.ratio!, row, new Set(sinks));
        expect(ratio).toBeCloseTo(tensor("expect.nonsink_ratio64")[h * 40 + i]!, 9);
      }
      const out = flat(attend(shifted(map, operation, sinks), headRows(v, 0, h)));
      expect(difference(out, headValues(`expect.out64_rho${rho}`, h)).maxAbsolute).toBeLessThan(TOLERANCE);
    }
  });

  it("redistributes as the authors' code does, prefill", () => {
    const { params, tensor, tokensFirst, headValues } = golden<Params>("var_prefill_author");
    const image = imageOf(params);
    const sinkRule = { hidden: { dims: params.sink_dims, tau: params.tau } };
    const operation = visualRedistribution({ image, p: params.p, sinks: sinkRule, variant: "authors" });
    const v = tokensFirst("input.v");
    for (let h = 0; h < params.H; h++) {
      const map = mapOfWeights(headValues("input.weights", h), params.tokens);
      const sinks = sinksOf(map, operation, { data: tensor("input.hidden"), channels: params.D });
      for (let i = 0; i < 40; i++) {
        const portion = sinkPortion(operation.gate!.portion!, rowOf(map, i), new Set(sinks));
        expect(portion).toBeCloseTo(tensor("expect.portion64")[h * 40 + i]!, 9);
      }
      const after = shifted(map, operation, sinks);
      expect(difference(after.weights, headValues("expect.weights", h)).maxAbsolute).toBeLessThan(FLOAT32);
      const out = flat(attend(after, headRows(v, 0, h)));
      expect(difference(out, headValues("expect.out64", h)).maxAbsolute).toBeLessThan(FLOAT32);
    }
  });

  it("redistributes as the authors' code does, decoding with the prefill's sinks", () => {
    const { params, tensor, tokensFirst, headValues } = golden<Params>("var_decode_author");
    const sinkRule = { keys: Array.from(tensor("input.sinks")) };
    const operation = visualRedistribution({
      image: imageOf(params),
      p: params.p,
      sinks: sinkRule,
      variant: "authors",
    });
    const v = tokensFirst("input.v");
    for (let h = 0; h < params.H; h++) {
      const map = mapOfWeights(headValues("input.weights", h), 1);
      const sinks = sinksOf(map, operation);
      expect(passes(operation.gate!, rowOf(map, 0), new Set(sinks)) ? 1 : 0).toBe(
        tensor("expect.selected")[h],
      );
      const after = shifted(map, operation, sinks);
      expect(difference(after.weights, headValues("expect.weights", h)).maxAbsolute).toBeLessThan(FLOAT32);
      const out = flat(attend(after, headRows(v, 0, h)));
      expect(difference(out, headValues("expect.out64", h)).maxAbsolute).toBeLessThan(FLOAT32);
    }
  });

  it("leaves a layer without image sinks alone, in the authors' variant", () => {
    const { params, tensor, headValues } = golden<Params>("var_decode_author");
    const operation = visualRedistribution({
      image: imageOf(params),
      sinks: { keys: Array.from(tensor("input.text_only_sinks")) },
      variant: "authors",
    });
    for (let h = 0; h < params.H; h++) {
      const map = mapOfWeights(headValues("input.prefill_weights", h), params.tokens);
      const after = shifted(map, operation, sinksOf(map, operation));
      expect(after.weights).toEqual(map.weights);
      const expected = headValues("expect.prefill_weights_text_only_sinks", h);
      expect(difference(after.weights, expected).maxAbsolute).toBeLessThan(TOLERANCE);
    }
  });
});

describe("shifts", () => {
  const map = mapOfWeights([1, 0, 0, 0.5, 0.5, 0, 0.2, 0.5, 0.3], 3);
  const shift = (change: Partial<ShiftOperation>): ShiftOperation => ({
    kind: "shift",
    sinks: { keys: [1] },
    keep: 0.4,
    recipients: "nonsinks",
    ...change,
  });
  const mapAfter = (change: Partial<ShiftOperation>) => {
    const operation = shift(change);
    return shifted(map, operation, sinksOf(map, operation));
  };

  it("change nothing without sinks, with keep = 1, or where nobody may receive", () => {
    expect(mapAfter({ sinks: { keys: [] } })).toBe(map);
    expect(mapAfter({ protect: [1] })).toBe(map);
    expect(mapAfter({ keep: 1 })).toBe(map);
    expect(mapAfter({ recipients: { keys: [1] } }).weights).toEqual(map.weights);
    expect(mapAfter({ recipients: { range: [2, 3] } }).weights.subarray(3, 6)).toEqual(
      map.weights.subarray(3, 6),
    );
  });

  it("keep row sums", () => {
    const { weights } = mapAfter({ keep: 0.25, recipients: { keys: [2, 2] } });
    expect(difference(weights.subarray(6), [0.2, 0.125, 0.675]).maxAbsolute).toBeLessThan(1e-15);
  });

  it("act on the rows that are asked for", () => {
    const last = mapAfter({ rows: "last" }).weights;
    expect(last.subarray(0, 6)).toEqual(map.weights.subarray(0, 6));
    expect(last[7]).toBeCloseTo(0.2, 12);
    expect(mapAfter({ rows: { from: 1 } }).weights[4]).toBeCloseTo(0.2, 12);
  });

  it("are described by options that are checked", () => {
    const code = (name: string) => expect.objectContaining({ code: name });
    expect(() => attentionCalibration({ theta: 0.1, alpha: 5 })).toThrow(code("unsupported"));
    expect(() => attentionCalibration({ beta: 2 })).toThrow(code("shape"));
    const sinks = { keys: [1] };
    expect(() => visualRedistribution({ image: [5, 5], sinks })).toThrow(code("shape"));
    expect(() => visualRedistribution({ image: [0, 5], sinks, rho: -1 })).toThrow(code("shape"));
    expect(() => visualRedistribution({ image: [0, 5], sinks, variant: "x" as never })).toThrow(
      code("unsupported"),
    );
  });
});
