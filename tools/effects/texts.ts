import { readFileSync } from "node:fs";
import { gunzipSync } from "node:zlib";

const AUSTEN = new URL("../train/data/austen.txt.gz", import.meta.url);
/** A kernel of this repository as it was once, so that figures stay what they are. */
const PROGRAM = new URL("data/program.wgsl.txt", import.meta.url);
const MOBY_DICK = new URL("../../demo/public/texts/moby-dick.txt", import.meta.url);

/** Persuasion, which no language model here was trained on, as `tools/train/corpus.py` has it: a paragraph is a line. */
export function heldOutText(): string {
  const books = gunzipSync(readFileSync(AUSTEN)).toString("utf8").replaceAll("\r\n", "\n");
  const begin = books.search(/Persuasion(\s+\(\d+\))?\s+[Bb]y\s+Jane Austen/);
  const rest = books.slice(begin);
  return unwrapped(rest.slice(0, rest.search(/PRIDE AND PREJUDICE(\s+\(\d+\))?\s+[Bb]y\s+Jane Austen/)));
}

/** A text that all language models were trained on. */
export function mobyDick(): string {
  return unwrapped(readFileSync(MOBY_DICK, "utf8"));
}

/** A program: unlike anything that the models were trained on. */
export function programText(): string {
  return readFileSync(PROGRAM, "utf8");
}

function unwrapped(text: string): string {
  const paragraphs = text.trim().split(/\n[ \t]*\n\s*/);
  return paragraphs.map((paragraph) => paragraph.trim().split(/\s+/).join(" ")).join("\n\n");
}
