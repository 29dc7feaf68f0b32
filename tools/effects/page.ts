import type { EffectReport, Table } from "./effect.js";

/** How a section was made, beside what its effect says. */
export interface Provenance {
  readonly command: string;
  /** What WebGPU ran on. */
  readonly device: string;
}

/** An effect's numbers, as they stand between its marks. */
export function section({ conditions, tables }: EffectReport, { command, device }: Provenance): string {
  const made = `\`${command}\`, ${device}. ${conditions}`;
  return [made, ...tables.map((table) => `${table.caption}\n\n${tableText(table)}`)].join("\n\n");
}

export function tableText({ header, rows }: Table): string {
  const lines = [header, header.map(() => "---"), ...rows];
  return lines.map((cells) => `| ${cells.join(" | ")} |`).join("\n");
}

/**
 * A page with an effect's numbers in the place of those that stood there. What stands outside the marks is a person's, and stays.
 *
 * @throws Error where the page has no such marks
 */
export function withSection(page: string, name: string, text: string): string {
  const [begin, end] = [`<!-- figures of ${name} -->`, `<!-- end of ${name} -->`];
  const [from, to] = [page.indexOf(begin), page.indexOf(end)];
  if (from < 0 || to < from) throw new Error(`the page has no "${begin}" with "${end}" behind it`);
  return `${page.slice(0, from + begin.length)}\n\n${text}\n\n${page.slice(to)}`;
}
