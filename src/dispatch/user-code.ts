/** A place in WGSL that the application wrote. */
export interface UserPlace {
  /** `"maskMod.wgsl"` */
  readonly path: string;
  /** From 1, in the text that the application gave. */
  readonly line: number;
  readonly column: number;
}

/**
 * Where a line of a program stands in the application's own text: between `// begin PATH` and `// end`. Undefined for lines of the
 * kernel's.
 */
export function userPlace(code: string, line: number, column: number): UserPlace | undefined {
  const above = code.split("\n").slice(0, line - 1);
  for (let at = above.length - 1; at >= 0; at--) {
    if (above[at] === "// end") return undefined;
    const begin = /^\/\/ begin (\S+)$/.exec(above[at]!);
    if (begin) return { path: begin[1]!, line: line - at - 1, column };
  }
  return undefined;
}

/** Marks lines of the application's, for `userPlace`. */
export function userLines(path: string, text: string): string {
  return `// begin ${path}\n${text}\n// end\n`;
}
