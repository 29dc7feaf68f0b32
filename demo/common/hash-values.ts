/** What stands in a page's fields, as text, by the fields' names: what a link carries. */
export type Values = Readonly<Record<string, string>>;

/** The part of the address behind `#`. Values that a fresh page has anyway are left out. */
export function toHash(values: Values, initial: Values): string {
  const changed = Object.entries(values).filter(([name, value]) => value !== (initial[name] ?? ""));
  return changed.length === 0 ? "" : `#${new URLSearchParams(changed)}`;
}

/** Puts values where a link finds them. */
export function keepInAddress(values: Values, initial: Values): void {
  const hash = toHash(values, initial);
  // Replaced, not pushed: going back should leave the page, not undo a digit.
  if (hash !== location.hash) history.replaceState(null, "", hash || location.pathname + location.search);
}

/** The initial values, with what a link asks for in their place; names that the page does not have are dropped. */
export function fromHash(hash: string, initial: Values): Record<string, string> {
  const asked = new URLSearchParams(hash.replace(/^#/, ""));
  return Object.fromEntries(
    Object.entries(initial).map(([name, value]) => [name, asked.get(name)?.slice(0, 20_000) ?? value]),
  );
}
