/** A place in WGSL that the application wrote. */
export interface UserPlace {
  /** `"maskMod.wgsl"` */
  readonly path: string;
  /** From 1, in the text that the application gave. */
  readonly line: number;
  readonly column: number;
}

/** Names of the application's get an ending in the program, so that they meet no name of a kernel's, of WGSL's or of another text. */
const ENDING = /_user\d+\b/g;

/** The name that an application's own name has in the program; `number` tells texts apart. */
export function userName(name: string, number: number): string {
  return `${name}_user${number}`;
}

/** The application's names again, in a message. */
export function withoutEndings(message: string): string {
  return message.replace(ENDING, "");
}

/**
 * Lines of the application's, between marks for `userPlace`.
 *
 * @param closing follows the lines: a driver that misses something says so there, and is taken to mean the last line
 */
export function userLines(path: string, text: string, closing = ""): string {
  return `// begin ${path} ${text.split("\n").length}\n${text}\n${closing}// end\n`;
}

/** Where a line of a program stands in the application's own text. Undefined for lines of the kernel's. */
export function userPlace(code: string, line: number, column: number): UserPlace | undefined {
  const lines = code.split("\n");
  for (let at = line - 2; at >= 0; at--) {
    if (lines[at] === "// end") return undefined;
    const [, path, count] = /^\/\/ begin (\S+) (\d+)$/.exec(lines[at]!) ?? [];
    if (path === undefined) continue;
    const own = line - at - 1;
    if (own > Number(count)) return { path, line: Number(count), column: 1 };
    const before = withoutEndings((lines[line - 1] ?? "").slice(0, column - 1));
    return { path, line: own, column: before.length + 1 };
  }
  return undefined;
}
