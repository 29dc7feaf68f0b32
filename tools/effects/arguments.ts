import { parseArgs } from "node:util";
import { CATALOG, EFFECT_NAMES, type EffectName } from "./catalog.js";

export interface EffectCommand {
  readonly name: EffectName;
  /** 1, 2, ... */
  readonly seeds: readonly number[];
  readonly quick: boolean;
}

/** A command line that makes no sense; the message says what to do. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}

export const HELP = `npm run effect -- NAME     measures a published effect on the models of this repository

${EFFECT_NAMES.map((name) => `  ${name.padEnd(16)} ${CATALOG[name].title} (${CATALOG[name].models.join(", ")})`).join("\n")}

  --seeds N    samples are drawn N times, seeds 1 to N; default 3
  --quick      tiny sizes, to see that it runs: figures without meaning, which are only printed

Figures are printed and written into docs/effects.md. Takes minutes on a CPU driver.`;

/** @throws UsageError */
export function readArguments(args: readonly string[]): EffectCommand | "help" {
  const { values, positionals } = parsed(args);
  const [name, ...rest] = positionals;
  if (values.help || name === undefined) return "help";
  if (rest.length > 0) throw new UsageError(`one effect at a time, not ${rest.length + 1}`);
  const known = EFFECT_NAMES.find((effect) => effect === name);
  if (!known) throw new UsageError(`no effect "${name}"; there are ${EFFECT_NAMES.join(", ")}`);
  const count = Number(values.seeds ?? 3);
  if (!(Number.isInteger(count) && count >= 1))
    throw new UsageError(`--seeds: a whole number from 1 on, not "${values.seeds}"`);
  return {
    name: known,
    seeds: Array.from({ length: count }, (_, n) => n + 1),
    quick: values.quick ?? false,
  };
}

function parsed(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        seeds: { type: "string" },
        quick: { type: "boolean" },
        help: { type: "boolean", short: "h" },
      },
    });
  } catch (error) {
    throw new UsageError((error as Error).message);
  }
}
