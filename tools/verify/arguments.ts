import { existsSync, readdirSync, statSync } from "node:fs";
import { parseArgs } from "node:util";

export const USAGE = `usage: npm run verify -- --cases DIR [--filter TEXT] [--json FILE]
  --cases DIR    folder of *.safetensors cases
  --filter TEXT  only files whose name contains TEXT
  --json FILE    also write the results there`;

export interface VerifyArguments {
  readonly folder: string;
  /** File names inside `folder`, sorted; at least one. */
  readonly files: readonly string[];
  readonly json?: string;
}

/** A mistake of whoever called the command, as opposed to a case that fails. */
export class UsageError extends Error {}

/** @throws UsageError for unknown options, a missing folder, or when there is nothing to verify. */
export function readArguments(args: readonly string[]): VerifyArguments {
  const { cases: folder, filter = "", json } = parse(args);
  if (!folder) throw new UsageError("--cases DIR is missing");
  if (!existsSync(folder) || !statSync(folder).isDirectory())
    throw new UsageError(`no such folder: ${folder}`);
  const all = readdirSync(folder).filter((name) => name.endsWith(".safetensors"));
  if (all.length === 0) throw new UsageError(`no *.safetensors cases in ${folder}`);
  const files = all.filter((name) => name.includes(filter)).sort();
  if (files.length === 0)
    throw new UsageError(`none of the ${all.length} cases in ${folder} has "${filter}" in its name`);
  return { folder, files, ...(json && { json }) };
}

function parse(args: readonly string[]): { cases?: string; filter?: string; json?: string } {
  try {
    return parseArgs({
      args: [...args],
      options: { cases: { type: "string" }, filter: { type: "string" }, json: { type: "string" } },
    }).values;
  } catch (error) {
    throw new UsageError((error as Error).message);
  }
}
