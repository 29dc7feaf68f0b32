import { perturbationGuidance } from "webgpu-attention/hooks";
import type { Mechanism } from "../mechanism.js";
import { numbersOf, requireTensor } from "../verify-case.js";

/** `expect.pag_w3.0` and `expect.cfg3_plus_pag_w3.0`, for each strength and the one of classifier-free guidance. */
export const runGuidance: Mechanism = async (_ctx, testCase) => {
  const input = (name: string) => Float32Array.from(numbersOf(requireTensor(testCase, `input.${name}`)));
  const inputs = { eps: input("eps_cond"), perturbed: input("eps_perturbed") };
  const unconditional = input("eps_uncond");
  const outputs = [...testCase.tensors.keys()].flatMap((name) => {
    const found = /^expect\.(cfg([\d.]+)_plus_)?pag_w([\d.]+)$/.exec(name);
    return found ? [{ name, cfg: found[2], w: Number(found[3]) }] : [];
  });
  return outputs.map(({ name, cfg, w }) => ({
    name,
    actual:
      cfg === undefined
        ? perturbationGuidance(inputs, { w })
        : perturbationGuidance({ ...inputs, unconditional }, { w, cfg: Number(cfg) }),
    expected: numbersOf(requireTensor(testCase, name)),
    // One rounding to float32.
    tolerance: 1e-6,
  }));
};
