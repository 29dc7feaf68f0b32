import { describe, expect, it } from "vitest";
import { difference } from "../../../test/support/compare.js";
import { attentionCalibration } from "../sink-calibration/shift-operations.js";
import { attentionMap, mapOfWeights } from "./attention-map.js";
import { calibratedDecode } from "./decode.js";
import { headRows } from "./dense-tensor.js";
import { golden } from "./golden-case.js";
import { shifted } from "./shift.js";

describe("calibratedDecode", () => {
  const { params, tokensFirst, tensor } = golden<{ H: number; N: number; prefill: number }>("act_toolkit");
  const inputs = { q: tokensFirst("input.q"), k: tokensFirst("input.k"), causal: true };
  const v = tokensFirst("input.v");
  const { H, N, prefill } = params;

  const thresholds = { "abs0.1": { theta: 0.1 }, alpha5_over_n: { alpha: 5 } };
  const cases = Object.entries(thresholds).flatMap(([name, threshold]) =>
    (["prefill", "running"] as const).map((update) => ({ name, threshold, update })),
  );

  it.each(cases)("$name, sinks of $update", ({ name, threshold, update }) => {
    const operation = attentionCalibration({ ...threshold, update });
    const suffix = update === "prefill" ? "frozen" : "running";
    for (let h = 0; h < H; h++) {
      const steps = calibratedDecode(
        attentionMap(inputs, 0, h),
        headRows(v, 0, h),
        prefill,
        operation as never,
      );
      for (const [step, { out, sinks, received }] of steps.entries()) {
        const at = (tensorName: string, width: number) =>
          Array.from(tensor(`expect.${name}.${tensorName}`))
            .slice((step * H + h) * width)
            .slice(0, width);
        expect(difference(out, at(`decode_out64_${suffix}`, 16)).maxAbsolute).toBeLessThan(1e-10);
        const means = at("decode_received_mean64", N).slice(0, prefill + step);
        // The newest key has been seen by its own query only; the file leaves it out.
        expect(difference(received.subarray(0, prefill + step), means).maxAbsolute).toBeLessThan(1e-12);
        if (update === "prefill") continue;
        const flags = at("decode_sinks_running", N);
        expect(sinks).toEqual(flags.flatMap((flag, key) => (flag ? [key] : [])));
      }
    }
  });
});

describe("the authors' code while decoding", () => {
  const { params, headValues, tensor } = golden<{
    beta: number;
    heads: number[];
    threshold: number;
    kv_len: number;
  }>("act_decode_author");

  it.each(params.heads)(
    "gives back to sinks, and all weight to key 0, as it is not done here; head %d",
    (h) => {
      const weights = Array.from(headValues("input.weights", h));
      const detected = weights.flatMap((a, key) => (a > params.threshold ? [key] : []));
      // It spares the first that it finds, whichever that is.
      const sinks = detected.slice(1);
      const taken = sinks.reduce((total, key) => total + (1 - params.beta) * weights[key]!, 0);
      const theirs = weights.map((a, key) => a * (sinks.includes(key) ? params.beta : 1) + taken * a);
      const before = theirs[0]!;
      theirs[0] = 1;
      expect(difference(theirs, headValues("expect.weights", h)).maxAbsolute).toBeLessThan(1e-6);
      expect(2 - before).toBeCloseTo(tensor("expect.row_sum64")[h]!, 6);

      const operation = attentionCalibration({ beta: params.beta });
      const ours = shifted(mapOfWeights(weights, 1), operation, sinks).weights;
      const sum = (row: ArrayLike<number>) => Array.from(row).reduce((a, b) => a + b);
      expect(sum(ours)).toBeCloseTo(sum(weights), 12);
      for (const key of sinks) expect(ours[key]).toBeCloseTo(params.beta * weights[key]!, 6);
    },
  );
});
