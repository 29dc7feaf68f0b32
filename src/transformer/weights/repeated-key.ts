/**
 * The first name that the outermost object of a JSON text has twice, or undefined. `JSON.parse` keeps the last value of such a name
 * without a word, and readers of other languages the first.
 *
 * @param text valid JSON: an object
 */
export function repeatedKey(text: string): string | undefined {
  const seen = new Set<string>();
  let depth = 0;
  for (let place = 0; place < text.length; place++) {
    const symbol = text[place]!;
    if (symbol === "{" || symbol === "[") depth++;
    else if (symbol === "}" || symbol === "]") depth--;
    if (symbol !== '"') continue;
    const end = stringEnd(text, place);
    if (depth === 1 && isKey(text, end)) {
      const key: string = JSON.parse(text.slice(place, end));
      if (seen.has(key)) return key;
      seen.add(key);
    }
    place = end - 1;
  }
  return undefined;
}

/** One past the quotation mark that ends the string which begins here. */
function stringEnd(text: string, begin: number): number {
  let place = begin + 1;
  while (text[place] !== '"') place += text[place] === "\\" ? 2 : 1;
  return place + 1;
}

function isKey(text: string, end: number): boolean {
  let place = end;
  while (/\s/.test(text[place]!)) place++;
  return text[place] === ":";
}
