import { readFileSync } from "node:fs";
import { gunzipSync } from "node:zlib";

const AUSTEN = new URL("../train/data/austen.txt.gz", import.meta.url);
/** Of the collection, in its order; what stands between is found by a title with its author. */
const [HELD_OUT, NEXT] = ["Persuasion", "PRIDE AND PREJUDICE"] as const;

/** The book that no language model was trained on, each paragraph's lines joined, as `tools/train/corpus.py` reads it. */
export function heldOutText(): string {
  const text = gunzipSync(readFileSync(AUSTEN)).toString("utf8").replaceAll("\r\n", "\n");
  const startOf = (title: string, from: number) => {
    const heading = new RegExp(`${title}(\\s+\\(\\d+\\))?\\s+[Bb]y\\s+Jane Austen`, "g");
    heading.lastIndex = from;
    const found = heading.exec(text);
    if (!found) throw new Error(`austen.txt.gz has no book called "${title}"`);
    return found.index;
  };
  const start = startOf(HELD_OUT, 0);
  return unwrap(text.slice(start, startOf(NEXT, start + HELD_OUT.length)));
}

function unwrap(text: string): string {
  const paragraphs = text.trim().split(/\n[ \t]*\n\s*/);
  return paragraphs.map((paragraph) => paragraph.trim().split(/\s+/).join(" ")).join("\n\n");
}
