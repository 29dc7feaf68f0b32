/** Lines of a plain-text table: columns as wide as their widest cell, the first on the left, the others on the right. */
export function formatTable(header: readonly string[], rows: readonly (readonly string[])[]): string[] {
  const lines = [header, ...rows];
  const widths = header.map((_, column) => Math.max(...lines.map((line) => line[column]!.length)));
  const formatted = lines.map((line) =>
    line
      .map((cell, column) => (column === 0 ? cell.padEnd(widths[column]!) : cell.padStart(widths[column]!)))
      .join("  ")
      .trimEnd(),
  );
  return [formatted[0]!, widths.map((width) => "-".repeat(width)).join("  "), ...formatted.slice(1)];
}
