/**
 * Unrolls `for (var i = 0u; i < NAME; i++)` loops of a WGSL text whose bound is one of the given names, so that every index
 * into a register array becomes a constant. GPU compilers do that themselves; drivers that run on a CPU do not, and turn
 * each dynamic index into a checked memory access (measured on SwiftShader: a factor of 1.6 on a whole attention kernel).
 *
 * The loop's body is repeated in blocks of their own, with `const i = 0u;` and so on in front.
 */
export function unrollLoops(code: string, counts: Readonly<Record<string, number>>): string {
  if (Object.keys(counts).length === 0) return code;
  const names = Object.keys(counts).join("|");
  const loop = new RegExp(`for \\(var (\\w+) = 0u; \\1 < (${names}); \\1\\+\\+\\) \\{`);
  let rest = code;
  let done = "";
  for (;;) {
    const match = loop.exec(rest);
    if (!match) return done + rest;
    const bodyStart = match.index + match[0].length;
    const bodyEnd = closingBrace(rest, bodyStart);
    const body = unrollLoops(rest.slice(bodyStart, bodyEnd), counts);
    const [, counter, bound] = match;
    const copies = Array.from(
      { length: counts[bound!]! },
      (_, index) => `{\nconst ${counter} = ${index}u;${body}}\n`,
    );
    done += rest.slice(0, match.index) + copies.join("");
    rest = rest.slice(bodyEnd + 1);
  }
}

/** Position of the brace that closes the block opened just before `from`. WGSL has no strings, and comments are gone. */
export function closingBrace(code: string, from: number): number {
  let depth = 1;
  for (let at = from; at < code.length; at++) {
    if (code[at] === "{") depth++;
    if (code[at] === "}" && --depth === 0) return at;
  }
  throw new Error("a block that does not end");
}
