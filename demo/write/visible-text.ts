const NAMES: Readonly<Record<string, string>> = { "\n": "⏎", "\t": "⇥", " ": "␣" };

/** A token's text so that blanks at its ends can be seen. */
export function visibleText(text: string): string {
  if (text.trim() === "") return text.replace(/\s/g, (blank) => NAMES[blank] ?? "␣");
  return text.replace(/^ /, "␣").replace(/[\n\t]/g, (blank) => NAMES[blank]!);
}
