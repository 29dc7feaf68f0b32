import { readOptions, wholeNumber } from "../tools/command/read-options.js";
import { UsageError } from "../tools/command/usage-error.js";
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

const OPTIONS = {
  suite: { type: "string" },
  against: { type: "string" },
  filter: { type: "string" },
  rounds: { type: "string", default: String(MIN_ROUNDS) },
  tuning: { type: "string" },
  json: { type: "string" },
  help: { type: "boolean", short: "h" },
} as const;

/**
 * @param suites by name
 * @throws UsageError for unknown options, suites and peers, or when no row is left
 */
export function readArguments(
  args: readonly string[],
  suites: Readonly<Record<string, Suite>>,
): BenchArguments | "help" {
  const { values } = readOptions(args, { options: OPTIONS });
  if (values.help) return "help";
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
    rounds: wholeNumber("--rounds", values.rounds, MIN_ROUNDS),
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
