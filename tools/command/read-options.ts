import { type ParseArgsConfig, parseArgs } from "node:util";
import { UsageError } from "./usage-error.js";

/**
 * `parseArgs`, strict: what is not an option is refused, positional arguments too unless they are allowed.
 *
 * @throws UsageError
 */
export function readOptions<const Config extends ParseArgsConfig>(args: readonly string[], config: Config) {
  try {
    return parseArgs({ ...config, args: [...args] });
  } catch (error) {
    throw new UsageError((error as Error).message);
  }
}

/** @throws UsageError */
export function wholeNumber(option: string, text: string, least: number): number {
  const number = Number(text);
  if (/^\d+$/.test(text.trim()) && number >= least) return number;
  throw new UsageError(`${option} is a whole number of at least ${least}, not "${text}"`);
}
