/** No file of a model nests deeper; what takes values apart may call itself for each level. */
const MOST_LEVELS = 64;

/**
 * What is wrong with a JSON text that its parser takes: a name that one object has twice (`JSON.parse` keeps the last value of it without a
 * word, and readers of other languages the first), or values nested without end. Undefined where all is well.
 *
 * @param text valid JSON
 */
export function brokenStructure(
  text: string,
): { readonly expected: string; readonly got: string } | undefined {
  /** Names so far of each object that is open here; undefined for lists, and for objects without names yet. */
  const open: (Set<string> | undefined)[] = [];
  for (let place = 0; place < text.length; place++) {
    const symbol = text[place]!;
    if (symbol === "{" || symbol === "[") {
      if (open.push(undefined) > MOST_LEVELS) {
        return { expected: `values within at most ${MOST_LEVELS} others`, got: "deeper ones" };
      }
    } else if (symbol === "}" || symbol === "]") open.pop();
    if (symbol !== '"') continue;
    const end = stringEnd(text, place);
    if (isName(text, end)) {
      const name: string = JSON.parse(text.slice(place, end));
      open[open.length - 1] ??= new Set();
      const names = open.at(-1)!;
      if (names.has(name)) return { expected: `"${name}" once`, got: "two" };
      names.add(name);
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

function isName(text: string, end: number): boolean {
  let place = end;
  while (place < text.length && /\s/.test(text[place]!)) place++;
  return text[place] === ":";
}
