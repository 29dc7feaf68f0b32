import type { Capabilities } from "../../src/dispatch/capabilities.js";
import type { PlaygroundMechanism, Values, Variant } from "../_playground/mechanism.js";
import { softmaxCandidates } from "./candidates.js";
import { configurationName, type SoftmaxConfiguration } from "./configuration.js";
import { checkCase, fieldOfSubject } from "./playground/check-values.js";
import { SOFTMAX_FIELDS } from "./playground/fields.js";
import { prepareSoftmax } from "./playground/prepare-run.js";
import { SOFTMAX_PRESETS } from "./playground/presets.js";
import { readValues } from "./playground/read-values.js";
import { softmaxSnippet } from "./playground/snippet.js";

/** What the library chooses by itself, then every configuration that it would measure on this device. */
function variants(values: Values, capabilities: Capabilities): readonly Variant<SoftmaxConfiguration>[] {
  const candidates = softmaxCandidates(checkCase(readValues(values), capabilities), capabilities);
  return [
    { name: "table", label: `chosen by the table: ${configurationName(candidates[0]!)}` },
    ...candidates.map((configuration) => {
      const name = configurationName(configuration);
      return { name, label: name, configuration };
    }),
  ];
}

/** Softmax attention as the playground page shows it. */
export default {
  title: "Softmax attention",
  summary: "oᵢ = Σⱼ softmaxⱼ(scale · qᵢ · kⱼ) vⱼ, computed without a matrix of scores.",
  groups: SOFTMAX_FIELDS,
  presets: SOFTMAX_PRESETS,
  check: (values, capabilities) => void checkCase(readValues(values), capabilities),
  fieldOf: fieldOfSubject,
  variants,
  prepare: (ctx, values, { configuration }, signal) =>
    prepareSoftmax(ctx, readValues(values), configuration, signal),
  snippet: (values, { configuration }) => softmaxSnippet(readValues(values), configuration),
} satisfies PlaygroundMechanism<SoftmaxConfiguration>;
