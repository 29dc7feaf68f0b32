import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { EFFECT_NAMES } from "./catalog.js";
import { section, tableText, withSection } from "./page.js";

const table = { caption: "Bits.", header: ["head", "bits"], rows: [["0", "1.5"]] };

describe("the page of effects", () => {
  test("has tables", () => {
    expect(tableText(table)).toBe("| head | bits |\n| --- | --- |\n| 0 | 1.5 |");
  });

  test("says how numbers were made", () => {
    const text = section(
      { conditions: "Two windows.", tables: [table] },
      { command: "npm run effect -- sinks", device: "SwiftShader" },
    );
    expect(text).toBe(
      `\`npm run effect -- sinks\`, SwiftShader. Two windows.\n\nBits.\n\n${tableText(table)}`,
    );
  });

  test("gets new numbers between an effect's marks, and keeps all else", () => {
    const page =
      "a\n<!-- figures of x -->\nold\n<!-- end of x -->\nb\n<!-- figures of y -->\n<!-- end of y -->\n";
    const changed = withSection(page, "x", "new");
    expect(changed).toBe(page.replace("\nold\n", "\n\nnew\n\n"));
    expect(withSection(changed, "x", "new")).toBe(changed);
    expect(() => withSection(page, "z", "new")).toThrow(/no .*figures of z/);
  });

  test("has marks for every effect", () => {
    const page = readFileSync(new URL("../../docs/effects.md", import.meta.url), "utf8");
    for (const name of EFFECT_NAMES) expect(withSection(page, name, "new")).toContain("\n\nnew\n\n");
  });
});
