import type { SamplingOptions } from "webgpu-attention/layers";
import type { Values } from "../common/hash-values.js";

/** The page's fields, as a fresh page has them; an empty one is left to the library. */
export const INITIAL_SAMPLING = {
  temperature: "0.8",
  topK: "",
  topP: "0.95",
  minP: "",
  repetitionPenalty: "",
  seed: "1",
} as const satisfies Values;

/** Options of sampling from the fields' texts: NaN for what is no number, so that the library says so. */
export function samplingOf(values: Values): SamplingOptions {
  const given = Object.keys(INITIAL_SAMPLING).flatMap((name) => {
    const text = (values[name] ?? "").trim();
    return text === "" ? [] : [[name, Number(text)] as const];
  });
  return Object.fromEntries(given);
}
