import type { Capabilities } from "../../src/dispatch/capabilities.js";
import type { PlaygroundMechanism, Values, Variant } from "../_playground/mechanism.js";
import type { SoftmaxConfiguration } from "./configuration.js";
import { checkCase, fieldOfSubject } from "./playground/check-values.js";
import { SOFTMAX_FIELDS } from "./playground/fields.js";
import { prepareSoftmax } from "./playground/prepare-run.js";
import { SOFTMAX_PRESETS } from "./playground/presets.js";
import { readValues } from "./playground/read-values.js";
import { softmaxSnippet } from "./playground/snippet.js";

const TABLE: Variant<SoftmaxConfiguration> = {
  name: "table",
  label: "chosen by the table for this device",
};

function variants(_values: Values, _capabilities: Capabilities): readonly Variant<SoftmaxConfiguration>[] {
  return [TABLE];
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
  prepare: (ctx, values, { configuration }) => prepareSoftmax(ctx, readValues(values), configuration),
  snippet: (values, { configuration }) => softmaxSnippet(readValues(values), configuration),
} satisfies PlaygroundMechanism<SoftmaxConfiguration>;
