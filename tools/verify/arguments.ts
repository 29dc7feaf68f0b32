import { existsSync, readdirSync, statSync } from "node:fs";
import { readOptions } from "../command/read-options.js";
import { UsageError } from "../command/usage-error.js";

export const USAGE = `usage: npm run verify -- --cases DIR [--filter TEXT] [--json FILE]
  --cases DIR    folder of *.safetensors cases
  --filter TEXT  only files whose name contains TEXT
  --json FILE    also write the results there
  --help         this text`;

export interface VerifyArguments {
  readonly folder: string;
  /** File names inside `folder`, sorted; at least one. */
  readonly files: readonly string[];
  readonly json?: string;
}

const OPTIONS = {
  cases: { type: "string" },
  filter: { type: "string", default: "" },
  json: { type: "string" },
  help: { type: "boolean", short: "h" },
} as const;

/** @throws UsageError for unknown options, a missing folder, or when there is nothing to verify. */
export function readArguments(args: readonly string[]): VerifyArguments | "help" {
  const { cases: folder, filter, json, help } = readOptions(args, { options: OPTIONS }).values;
  if (help) return "help";
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
