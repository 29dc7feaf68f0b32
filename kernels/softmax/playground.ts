import type { PlaygroundMechanism } from "../_playground/mechanism.js";
import type { SoftmaxConfiguration } from "./configuration.js";
import { checkCase, fieldOfSubject } from "./playground/check-values.js";
import { chooseConfiguration, MEASURED, softmaxVariants } from "./playground/choices.js";
import { SOFTMAX_FIELDS } from "./playground/fields.js";
import { prepareSoftmax } from "./playground/prepare-run.js";
import { SOFTMAX_PRESETS } from "./playground/presets.js";
import { readValues } from "./playground/read-values.js";
import { softmaxSnippet } from "./playground/snippet.js";

/** Softmax attention as the playground page shows it. */
export default {
  title: "Softmax attention",
  summary: "oᵢ = Σⱼ softmaxⱼ(scale · qᵢ · kⱼ) vⱼ, computed without a matrix of scores.",
  groups: SOFTMAX_FIELDS,
  presets: SOFTMAX_PRESETS,
  check: (values, capabilities) => void checkCase(readValues(values), capabilities),
  fieldOf: fieldOfSubject,
  variants: (values, capabilities) => softmaxVariants(readValues(values), capabilities),
  async prepare(ctx, values, variant, task) {
    const problem = readValues(values);
    const choice = await chooseConfiguration(ctx, problem, variant, task);
    return prepareSoftmax(ctx, problem, choice, task.signal);
  },
  snippet: (values, { name, configuration }) =>
    softmaxSnippet(readValues(values), { configuration, measure: name === MEASURED }),
} satisfies PlaygroundMechanism<SoftmaxConfiguration>;
