import type { Field, Values } from "../../kernels/_playground/mechanism.js";
import { filledIn } from "../../kernels/_playground/values.js";

/** Everything that a link to the playground carries. */
export interface LinkState {
  readonly mechanism: string;
  /** Name of the variant. */
  readonly variant: string;
  readonly values: Values;
}

const OWN_NAMES = ["mechanism", "variant"];

/** The part of the address behind `#`. Values that a fresh page has anyway are left out. */
export function toHash({ mechanism, variant, values }: LinkState, fields: readonly Field[]): string {
  const parameters = new URLSearchParams({ mechanism });
  for (const { name, initial } of fields) {
    const value = values[name] ?? initial;
    if (value !== initial) parameters.set(name, value);
  }
  if (variant !== "") parameters.set("variant", variant);
  return `#${parameters}`;
}

/** What a link asks for; its values are the given ones only, until the mechanism's fields are known. */
export function fromHash(hash: string): LinkState {
  const parameters = new URLSearchParams(hash.replace(/^#/, ""));
  const values = [...parameters].filter(([name]) => !OWN_NAMES.includes(name));
  return {
    mechanism: parameters.get("mechanism") ?? "",
    variant: parameters.get("variant") ?? "",
    values: Object.fromEntries(values),
  };
}

/** Given values over the fields' initial ones, where they are possible: a link may be old, or written by hand. */
export function possibleValues(fields: readonly Field[], given: Values): Values {
  const kept = fields.filter((field) => isPossible(field, given[field.name]));
  return filledIn(fields, Object.fromEntries(kept.map(({ name }) => [name, given[name]!])));
}

function isPossible(field: Field, value: string | undefined): boolean {
  if (value === undefined) return false;
  switch (field.kind) {
    case "toggle":
      return value === "on" || value === "";
    case "choice":
      return field.choices.some((choice) => choice.value === value);
    case "set":
      return value
        .split(" ")
        .filter(Boolean)
        .every((member) => field.choices.some((choice) => choice.value === member));
    default:
      return value.length <= 10_000;
  }
}
