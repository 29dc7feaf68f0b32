/** No file of a model nests deeper; what takes values apart may call itself for each level. */
const MOST_LEVELS = 64;

/** What a text should be, and what it is instead. */
interface BrokenStructure {
  readonly expected: string;
  readonly got: string;
}

/**
 * Whether values are nested without end, which takes a parser long, and much memory, before it can say so. Undefined where they are not.
 *
 * @param text anything: it is yet to be parsed
 */
export function brokenNesting(text: string): BrokenStructure | undefined {
  let levels = 0;
  for (let place = 0; place < text.length; place++) {
    const symbol = text[place]!;
    if (symbol === '"') place = stringEnd(text, place) - 1;
    else if (symbol === "}" || symbol === "]") levels--;
    else if ((symbol === "{" || symbol === "[") && ++levels > MOST_LEVELS) {
      return { expected: `values within at most ${MOST_LEVELS} others`, got: "deeper ones" };
    }
  }
  return undefined;
}

/**
 * A name that one object has twice: `JSON.parse` keeps the last value of it without a word, and readers of other languages the first.
 * Undefined where there is none.
 *
 * @param text valid JSON
 */
export function repeatedName(text: string): BrokenStructure | undefined {
  /** Names so far of each object that is open here; undefined for lists, and for objects without names yet. */
  const open: (Set<string> | undefined)[] = [];
  for (let place = 0; place < text.length; place++) {
    const symbol = text[place]!;
    if (symbol === "{" || symbol === "[") open.push(undefined);
    else if (symbol === "}" || symbol === "]") open.pop();
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

/** One past the quotation mark that ends the string which begins here; no nearer than the end of a text without one. */
function stringEnd(text: string, begin: number): number {
  let place = begin + 1;
  while (place < text.length && text[place] !== '"') place += text[place] === "\\" ? 2 : 1;
  return place + 1;
}

function isName(text: string, end: number): boolean {
  let place = end;
  while (place < text.length && /\s/.test(text[place]!)) place++;
  return text[place] === ":";
}
