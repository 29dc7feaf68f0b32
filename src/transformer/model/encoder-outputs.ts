import { AttentionError } from "webgpu-attention";

/** What an encoder can give back: states of all tokens, the pooler's, its head's. */
export type EncoderOutput = "hidden" | "pooled" | "logits";

/**
 * What is to come back, of what a model has.
 *
 * @param asked default all
 * @throws AttentionError "shape" unless it is a list of at least one, "unsupported" for what the model does not have
 */
export function chosenOutputs(
  asked: readonly EncoderOutput[] | undefined,
  has: Readonly<Record<EncoderOutput, boolean>>,
): ReadonlySet<EncoderOutput> {
  const known = (["hidden", "pooled", "logits"] as const).filter((name) => has[name]);
  const expected = `some of ${known.map((name) => `"${name}"`).join(", ")}`;
  const fix = "Leave it out for all.";
  if (asked !== undefined && (!Array.isArray(asked) || asked.length === 0))
    throw new AttentionError("shape", { subject: "outputs", expected, got: String(asked), fix });
  const wrong = asked?.find((name) => !known.includes(name));
  if (wrong !== undefined)
    throw new AttentionError("unsupported", { subject: "outputs", expected, got: String(wrong), fix });
  return new Set(asked ?? known);
}
