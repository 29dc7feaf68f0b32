import { describe, expect, it } from "vitest";
import { difference } from "../../../test/support/compare.js";
import { golden } from "../reference/golden-case.js";
import { perturbationGuidance } from "./perturbation-guidance.js";

const { tensor } = golden("softpag_guidance");
const eps = tensor("input.eps_cond") as Float32Array;
const perturbed = tensor("input.eps_perturbed") as Float32Array;
const unconditional = tensor("input.eps_uncond") as Float32Array;

describe("perturbationGuidance", () => {
  it.each([3, 5])("leads away from the perturbed prediction, w = %d", (w) => {
    const expected = (name: string) => Float32Array.from(tensor(`expect.${name}_w${w}.0`));
    const plain = perturbationGuidance({ eps, perturbed }, { w });
    expect(difference(plain, expected("pag")).maxRelative).toBe(0);
    const both = perturbationGuidance({ eps, perturbed, unconditional }, { w, cfg: 3 });
    expect(difference(both, expected("cfg3_plus_pag")).maxRelative).toBeLessThan(1e-7);
  });

  it("is the identity bit by bit at w = 0", () => {
    const e = Float32Array.of(-0, 1.5, -2);
    const out = perturbationGuidance({ eps: e, perturbed: Float32Array.of(1, Infinity, NaN) }, { w: 0 });
    expect(new Uint32Array(out.buffer)).toEqual(new Uint32Array(e.buffer));
  });

  it("may write over an input", () => {
    const e = Float32Array.from(eps);
    expect(perturbationGuidance({ eps: e, perturbed }, { w: 3, out: e })).toBe(e);
    expect(e).toEqual(perturbationGuidance({ eps, perturbed }, { w: 3 }));
  });

  it.each([
    ["shape", { eps, perturbed: eps.subarray(1) }, { w: 1 }],
    ["shape", { eps, perturbed }, { w: Number.NaN }],
    ["shape", { eps, perturbed }, { w: 1, out: new Float32Array(1) }],
    ["unsupported", { eps, perturbed }, { w: 1, cfg: 3 }],
    ["unsupported", { eps, perturbed, unconditional }, { w: 1 }],
    ["unsupported", { eps, perturbed }, { w: 1, scale: 3 }],
  ])("refuses what does not fit: %s", (code, inputs, options) => {
    expect(() => perturbationGuidance(inputs, options)).toThrow(expect.objectContaining({ code }));
  });
});
