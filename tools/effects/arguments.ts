import { readOptions, wholeNumber } from "../command/read-options.js";
import { UsageError } from "../command/usage-error.js";
import { CATALOG, EFFECT_NAMES, type EffectName } from "./catalog.js";

export interface EffectCommand {
  readonly name: EffectName;
  /** 1, 2, ... */
  readonly seeds: readonly number[];
  readonly quick: boolean;
}

export const HELP = `npm run effect -- NAME     measures a published effect on the models of this repository

${EFFECT_NAMES.map((name) => `  ${name.padEnd(16)} ${CATALOG[name].title} (${CATALOG[name].models.join(", ")})`).join("\n")}

  --seeds N    samples are drawn N times, seeds 1 to N; default 3
  --quick      tiny sizes, to see that it runs: figures without meaning, which are only printed

Figures are printed and written into docs/effects.md. Takes minutes on a CPU driver.`;

const OPTIONS = {
  seeds: { type: "string", default: "3" },
  quick: { type: "boolean" },
  help: { type: "boolean", short: "h" },
} as const;

/** @throws UsageError */
export function readArguments(args: readonly string[]): EffectCommand | "help" {
  const { values, positionals } = readOptions(args, { options: OPTIONS, allowPositionals: true });
  const [name, ...rest] = positionals;
  if (values.help || name === undefined) return "help";
  if (rest.length > 0) throw new UsageError(`one effect at a time, not ${rest.length + 1}`);
  const known = EFFECT_NAMES.find((effect) => effect === name);
  if (!known) throw new UsageError(`no effect "${name}"; there are ${EFFECT_NAMES.join(", ")}`);
  const count = wholeNumber("--seeds", values.seeds, 1);
  return {
    name: known,
    seeds: Array.from({ length: count }, (_, n) => n + 1),
    quick: values.quick ?? false,
  };
}
