const MOST_CHARACTERS = 80;
/** Levels of lists and objects that are written out, and members of each. */
const MOST_LEVELS = 2;
const MOST_MEMBERS = 8;

/** Any value as text that is short enough for a message. What hostile files nest or pile up is not visited. */
export function show(value: unknown): string {
  return cut(shown(value, 0));
}

function shown(value: unknown, level: number): string {
  if (value === undefined) return "nothing";
  if (typeof value === "string") return JSON.stringify(cut(value));
  if (typeof value !== "object" || value === null) return String(value);
  if (level === MOST_LEVELS) return Array.isArray(value) ? "[...]" : "{...}";
  if (Array.isArray(value)) {
    const members = value.slice(0, MOST_MEMBERS).map((member) => shown(member, level + 1));
    if (value.length > MOST_MEMBERS) members.push(`... ${value.length} in all`);
    return `[${members.join(", ")}]`;
  }
  const members: string[] = [];
  for (const name in value) {
    if (members.push(`"${cut(name)}": ${shown((value as never)[name], level + 1)}`) < MOST_MEMBERS) continue;
    members.push("...");
    break;
  }
  return `{${members.join(", ")}}`;
}

function cut(text: string): string {
  return text.length > MOST_CHARACTERS ? `${text.slice(0, MOST_CHARACTERS)}...` : text;
}
