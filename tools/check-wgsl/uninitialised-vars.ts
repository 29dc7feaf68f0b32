/** A `var` without initialiser inside a function. */
export interface UninitialisedVar {
  readonly name: string;
  /** Counted from 1. */
  readonly line: number;
}

const DECLARATION = /\bvar(?:\s*<[^>]*>)?\s+(\w+)[^=;{}]*;/g;

/**
 * Finds function variables that are declared without a value. WGSL zeroes them each time the declaration is reached, but
 * Tint and Naga on Vulkan keep the last loop round's value (gfx-rs/wgpu#9489), so kernels always write one.
 */
export function uninitialisedVars(wgsl: string): UninitialisedVar[] {
  const text = blankComments(wgsl);
  const found: UninitialisedVar[] = [];
  for (const match of text.matchAll(DECLARATION)) {
    const before = text.slice(0, match.index);
    if (count(before, "{") === count(before, "}")) continue;
    found.push({ name: match[1]!, line: count(before, "\n") + 1 });
  }
  return found;
}

/** Comments become spaces, so that positions and line numbers stay what they were. WGSL's block comments nest. */
function blankComments(wgsl: string): string {
  let depth = 0;
  return wgsl.replace(/\/\/[^\n]*|\/\*|\*\/|[^/*]+|[/*]/g, (part) => {
    if (part === "/*") depth++;
    const inside = depth > 0;
    if (part === "*/") depth = Math.max(0, depth - 1);
    return inside || part.startsWith("//") ? part.replace(/[^\n]/g, " ") : part;
  });
}

function count(text: string, character: string): number {
  return text.split(character).length - 1;
}
