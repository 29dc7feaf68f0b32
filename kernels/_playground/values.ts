import type { Field, PlaygroundMechanism, Values } from "./mechanism.js";

export function fieldsOf({ groups }: Pick<PlaygroundMechanism, "groups">): readonly Field[] {
  return groups.flatMap(({ fields }) => fields);
}

/** Every field's value: the given ones over the initial ones. Names that no field has are dropped. */
export function filledIn(fields: readonly Field[], given: Values): Values {
  return Object.fromEntries(fields.map(({ name, initial }) => [name, given[name] ?? initial]));
}

export function isOn(values: Values, name: string): boolean {
  return values[name] === "on";
}

/** The number in a field; `undefined` when it is empty, NaN for what is no number, so that the library says so. */
export function numberIn(values: Values, name: string): number | undefined {
  const text = (values[name] ?? "").trim();
  return text === "" ? undefined : Number(text);
}

/** Numbers separated by commas or spaces; `undefined` when the field is empty. */
export function listIn(values: Values, name: string): number[] | undefined {
  const parts = (values[name] ?? "").split(/[\s,]+/).filter(Boolean);
  return parts.length === 0 ? undefined : parts.map(Number);
}

/** The members of a set field. */
export function setIn(values: Values, name: string): ReadonlySet<string> {
  return new Set((values[name] ?? "").split(" ").filter(Boolean));
}
