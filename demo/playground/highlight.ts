/** A stretch of TypeScript and what it is, as far as colours tell it. */
export interface Token {
  readonly kind: "comment" | "string" | "number" | "keyword" | "plain";
  readonly text: string;
}

const KEYWORDS =
  "import|from|export|const|let|function|return|if|for|of|new|await|async|throw|type|as|true|false|readonly";
const PATTERN = new RegExp(
  `(?<comment>//[^\\n]*)|(?<string>"[^"\\n]*")|(?<number>\\b0x[\\da-f]+\\b|\\b\\d[\\d.]*(?:e[+-]?\\d+)?\\b)|(?<keyword>\\b(?:${KEYWORDS})\\b)`,
  "g",
);

/** Enough of TypeScript's grammar for the snippets of this page: no templates, no regular expressions. */
export function tokens(code: string): Token[] {
  const found: Token[] = [];
  let end = 0;
  for (const match of code.matchAll(PATTERN)) {
    if (match.index > end) found.push({ kind: "plain", text: code.slice(end, match.index) });
    const kind = Object.entries(match.groups!).find(([, text]) => text !== undefined)![0];
    found.push({ kind: kind as Token["kind"], text: match[0] });
    end = match.index + match[0].length;
  }
  if (end < code.length) found.push({ kind: "plain", text: code.slice(end) });
  return found;
}
