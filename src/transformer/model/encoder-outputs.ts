import { AttentionError } from "webgpu-attention";

/** What an encoder can give back: states of all tokens, the pooler's, its head's. */
export type EncoderOutput = "hidden" | "pooled" | "logits";

const NAMES: readonly EncoderOutput[] = ["hidden", "pooled", "logits"];

/** @throws AttentionError "shape" unless it is a list of at least one, "unsupported" for what no encoder has */
export function checkOutputs(asked: readonly EncoderOutput[] | undefined): void {
  if (asked !== undefined && (!Array.isArray(asked) || asked.length === 0))
    throw new AttentionError("shape", { ...expectedOf(NAMES), got: String(asked) });
  chosenOutputs(asked, { hidden: true, pooled: true, logits: true });
}

/**
 * What is to come back, of what a model has.
 *
 * @param asked default all
 * @throws AttentionError "unsupported" for what the model does not have
 */
export function chosenOutputs(
  asked: readonly EncoderOutput[] | undefined,
  has: Readonly<Record<EncoderOutput, boolean>>,
): ReadonlySet<EncoderOutput> {
  const known = NAMES.filter((name) => has[name]);
  const wrong = asked?.find((name) => !known.includes(name));
  if (wrong !== undefined)
    throw new AttentionError("unsupported", { ...expectedOf(known), got: String(wrong) });
  return new Set(asked ?? known);
}

function expectedOf(names: readonly EncoderOutput[]) {
  const expected = `some of ${names.map((name) => `"${name}"`).join(", ")}`;
  return { subject: "outputs", expected, fix: "Leave it out for all." };
}
