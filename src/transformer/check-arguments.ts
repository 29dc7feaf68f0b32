import { AttentionError } from "webgpu-attention";

/** Refuses options by names that nobody knows: a misspelt one must not be ignored. */
export function checkKnown(subject: string, options: object, known: readonly string[]): void {
  for (const name of Object.keys(options ?? {})) {
    if (known.includes(name)) continue;
    throw new AttentionError("unsupported", {
      subject: `${subject} option "${name}"`,
      expected: `one of ${known.join(", ")}`,
      got: `"${name}"`,
      fix: "Check the spelling, or leave the option out.",
    });
  }
}

/** An array of strings and of nothing else. */
export function checkSentences(sentences: unknown): asserts sentences is readonly string[] {
  const wrong = Array.isArray(sentences)
    ? sentences.findIndex((sentence) => typeof sentence !== "string")
    : -1;
  if (Array.isArray(sentences) && wrong < 0) return;
  throw new AttentionError("shape", {
    subject: wrong < 0 ? "sentences" : `sentences[${wrong}]`,
    expected: wrong < 0 ? "an array of strings" : "a string",
    got: wrong < 0 ? typeof sentences : typeof (sentences as unknown[])[wrong],
    fix: "Give an array, also for a single sentence.",
  });
}

/** @throws AttentionError "shape" for anything but a list of hooks */
export function checkHooks(hooks: unknown): void {
  const isHook = (hook: unknown) => typeof hook === "object" && hook !== null && !Array.isArray(hook);
  const wrong = Array.isArray(hooks) ? hooks.findIndex((hook) => !isHook(hook)) : -1;
  if (Array.isArray(hooks) && wrong < 0) return;
  throw new AttentionError("shape", {
    subject: wrong < 0 ? "hooks" : `hooks[${wrong}]`,
    expected: wrong < 0 ? "a list of hooks" : "a hook: an object with prepare, after or activation",
    got: String(wrong < 0 ? hooks : (hooks as unknown[])[wrong]),
    fix: "Leave it out for none.",
  });
}
