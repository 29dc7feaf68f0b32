import { readOptions } from "../command/read-options.js";
import { UsageError } from "../command/usage-error.js";

/** Two idle CPU cores without a GPU read some four passages a second: a minute for the book, and more for a file of one's own. */
const BOOK_LIMIT = 200;
const FILE_LIMIT = 300;

export const HELP = `npm start                                  serves the demo pages and opens a browser
npm start -- --headless "a query"          searches in a headless browser and prints "score  passage" lines

Options, after "--":
  --port N       port of the pages (default 5173, or the next free one)
  --no-open      do not open a browser
  --headless Q   search for Q; stdout carries the results only
  --text FILE    search this text file instead of the shipped Moby-Dick
  --top N        how many results (default 5)
  --limit N      how many passages to read at most (default ${BOOK_LIMIT} of the book, ${FILE_LIMIT} of a file: the
                 text's opening, and the rest evenly spread)
  --help         this text`;

export interface ServeCommand {
  readonly kind: "serve";
  readonly port: number | undefined;
  readonly open: boolean;
}

export interface SearchCommand {
  readonly kind: "search";
  readonly query: string;
  /** Path of a text file; the shipped book when undefined. */
  readonly text: string | undefined;
  readonly top: number;
  /** Passages to read at most. */
  readonly limit: number;
}

export type Command = ServeCommand | SearchCommand | { readonly kind: "help" };

const OPTIONS = {
  port: { type: "string" },
  "no-open": { type: "boolean" },
  headless: { type: "string" },
  text: { type: "string" },
  top: { type: "string" },
  limit: { type: "string" },
  help: { type: "boolean", short: "h" },
} as const;

const SEARCH_ONLY = ["text", "top", "limit"] as const;
const SERVE_ONLY = ["port", "no-open"] as const;

/** @throws UsageError */
export function parseCommand(args: readonly string[]): Command {
  const values = parseOptions(args);
  if (values.help) return { kind: "help" };
  if (values.headless === undefined) {
    refuse(values, SEARCH_ONLY, 'goes with --headless "a query"');
    const port = values.port === undefined ? undefined : wholeNumber("--port", values.port, 65_535);
    return { kind: "serve", port, open: !values["no-open"] };
  }
  refuse(values, SERVE_ONLY, "does not go with --headless");
  const query = values.headless.trim();
  if (query === "")
    throw new UsageError('The query is empty. Say what to look for: --headless "the white whale".');
  return {
    kind: "search",
    query,
    text: values.text,
    top: wholeNumber("--top", values.top ?? "5"),
    limit: wholeNumber(
      "--limit",
      values.limit ?? String(values.text === undefined ? BOOK_LIMIT : FILE_LIMIT),
    ),
  };
}

function parseOptions(args: readonly string[]) {
  try {
    return readOptions(args, { options: OPTIONS }).values;
  } catch (error) {
    throw new UsageError(`${(error as Error).message.split("\n")[0]!.replace(/[.]?$/, ".")} See --help.`);
  }
}

function refuse(values: Record<string, unknown>, names: readonly string[], why: string): void {
  const given = names.find((name) => values[name] !== undefined);
  if (given !== undefined) throw new UsageError(`--${given} ${why}. See --help.`);
}

function wholeNumber(option: string, value: string, largest = 1_000_000): number {
  const number = Number(value);
  if (/^\d+$/.test(value) && number >= 1 && number <= largest) return number;
  throw new UsageError(`${option} is "${value}". Give a whole number from 1 to ${largest}.`);
}
