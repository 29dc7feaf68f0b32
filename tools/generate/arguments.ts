import { existsSync, readdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { readOptions } from "../command/read-options.js";
import { UsageError } from "../command/usage-error.js";

export const MODELS = fileURLToPath(new URL("../../demo/public/models/", import.meta.url));

/** What the page is asked to do. Plain data. */
export interface GenerateRequest {
  readonly model: string;
  readonly prompt: string;
  readonly dtype: "stored" | "f32" | "f16" | "q8" | "q4";
  readonly maxTokens: number;
  readonly sampling: Readonly<Record<string, number>>;
}

export const HELP = `npm run generate -- --model NAME "prompt"     continues a text with a shipped model, in a headless browser

  --model NAME            ${languageModels().join(", ")}
  --max-tokens N          default 100
  --temperature T         default 0.8; 0 takes the most likely token each time
  --top-k K  --top-p P  --min-p M  --repetition-penalty R  --seed S
  --dtype D               weights as stored, f32, f16, q8 or q4

The text goes to stdout, all else to stderr.`;

const NUMBERS = ["temperature", "top-k", "top-p", "min-p", "repetition-penalty", "seed"] as const;
const DTYPES = ["stored", "f32", "f16", "q8", "q4"] as const;

const TEXT = { type: "string" } as const;
const OPTIONS = {
  ...{ model: TEXT, dtype: TEXT, "max-tokens": TEXT, help: { type: "boolean", short: "h" } as const },
  ...(Object.fromEntries(NUMBERS.map((name) => [name, TEXT])) as Record<
    (typeof NUMBERS)[number],
    typeof TEXT
  >),
};

/** @throws UsageError */
export function readArguments(args: readonly string[]): GenerateRequest | "help" {
  const { values, positionals } = readOptions(args, { options: OPTIONS, allowPositionals: true });
  if (values.help) return "help";
  const [prompt, ...rest] = positionals;
  if (prompt === undefined || rest.length > 0) throw new UsageError("give one prompt, in quotes");
  const { model, dtype = "stored", "max-tokens": maxTokens = "100" } = values;
  const known = languageModels();
  if (!model || !known.includes(model)) {
    throw new UsageError(`--model: ${model ? `no "${model}"; ` : ""}there are ${known.join(", ")}`);
  }
  if (!DTYPES.includes(dtype as never)) throw new UsageError(`--dtype: one of ${DTYPES.join(", ")}`);
  const given = NUMBERS.flatMap((name) => {
    const value = values[name];
    return value === undefined ? [] : [[camelCase(name), numberOf(`--${name}`, value)] as const];
  });
  return {
    ...{ model, prompt, dtype: dtype as GenerateRequest["dtype"] },
    maxTokens: numberOf("--max-tokens", maxTokens),
    sampling: { temperature: 0.8, ...Object.fromEntries(given) },
  };
}

function numberOf(name: string, value: string): number {
  const number = Number(value);
  if (value.trim() !== "" && Number.isFinite(number)) return number;
  throw new UsageError(`${name}: a number, not "${value}"`);
}

function camelCase(name: string): string {
  return name.replace(/-(.)/g, (_, letter: string) => letter.toUpperCase());
}

/** Shipped models that write text: those with a tokenizer. */
function languageModels(): string[] {
  return readdirSync(MODELS).filter((name) => existsSync(`${MODELS}${name}/tokenizer.json`));
}
