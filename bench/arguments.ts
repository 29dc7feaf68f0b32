import { parseArgs } from "node:util";
import { PEERS, type PeerName, TUNING_KINDS, type TuningKind } from "./contender.js";
import { type BenchRow, rowName, type Suite } from "./suite.js";

const MIN_ROUNDS = 5;

export const USAGE = `usage: npm run bench -- [--suite NAMES] [--against NAMES] [--filter TEXT] [--rounds N] [--tuning table|measure|sweep] [--json FILE]
  --suite NAMES    comma list of the files in bench/suites; default prefill and decode
  --against NAMES  comma list of peers: ${PEERS.join(", ")}; default all, "none" for none
  --filter TEXT    only rows whose name ("prefill causal 512") contains TEXT
  --rounds N       turns of every contender, at least ${MIN_ROUNDS}; default ${MIN_ROUNDS}
  --tuning KIND    how our context chooses configurations: table or measure; sweep: both, beside every published one
  --json FILE      also write everything there, samples included
  --help           this text`;

export interface BenchArguments {
  /** At least one. */
  readonly rows: readonly BenchRow[];
  readonly peers: readonly PeerName[];
  readonly rounds: number;
  readonly tuning?: TuningKind;
  readonly json?: string;
}

/** A mistake of whoever called the command. */
export class UsageError extends Error {}

/**
 * @param suites by name
 * @returns undefined when help was asked for
 * @throws UsageError for unknown options, suites and peers, or when no row is left
 */
export function readArguments(
  args: readonly string[],
  suites: Readonly<Record<string, Suite>>,
): BenchArguments | undefined {
  const values = parse(args);
  if (values.help) return undefined;
  const { suite, against, json } = values;
  const tuning = readTuning(values.tuning);
  const byDefault = Object.keys(suites).filter((name) => suites[name]!.byDefault);
  const names = chosen("--suite", suite, Object.keys(suites), byDefault);
  const filter = values.filter ?? "";
  const rows = names
    .flatMap((name) => suites[name]!.problems.map((problem) => ({ suite: name, problem })))
    .filter((row) => rowName(row).includes(filter));
  if (rows.length === 0) throw new UsageError(`no row of ${names.join(", ")} has "${filter}" in its name`);
  return {
    rows,
    peers: against === "none" ? [] : chosen("--against", against, PEERS, PEERS),
    rounds: readRounds(values.rounds),
    ...(tuning && { tuning }),
    ...(json && { json }),
  };
}

function chosen<Name extends string>(
  option: string,
  list: string | undefined,
  known: readonly Name[],
  byDefault: readonly Name[],
): readonly Name[] {
  if (list === undefined) return byDefault;
  return [...new Set(list.split(","))].map((given) => {
    const name = known.find((candidate) => candidate === given);
    if (name === undefined) throw new UsageError(`${option}: no "${given}"; there are ${known.join(", ")}`);
    return name;
  });
}

function readTuning(given: string | undefined): TuningKind | undefined {
  const kind = TUNING_KINDS.find((known) => known === given);
  if (given !== undefined && kind === undefined)
    throw new UsageError(`--tuning is one of ${TUNING_KINDS.join(", ")}, not "${given}"`);
  return kind;
}

function readRounds(given: string | undefined): number {
  const rounds = given === undefined ? MIN_ROUNDS : Number(given);
  if (!Number.isInteger(rounds) || rounds < MIN_ROUNDS) {
    throw new UsageError(`--rounds is a whole number of at least ${MIN_ROUNDS}, not "${given}"`);
  }
  return rounds;
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      options: {
        suite: { type: "string" },
        against: { type: "string" },
        filter: { type: "string" },
        rounds: { type: "string" },
        tuning: { type: "string" },
        json: { type: "string" },
        help: { type: "boolean" },
      },
    }).values;
  } catch (error) {
    throw new UsageError((error as Error).message);
  }
}
