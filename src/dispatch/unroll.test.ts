import { expect, test } from "vitest";
import { unrollLoops } from "./unroll.js";

const CODE = `before();
for (var r = 0u; r < ROWS; r++) {
  a[r] = 1;
  for (var n = 0u; n < KEYS; n++) {
    if (n > r) { b[r * KEYS + n] = 2; }
  }
}
for (var c = 0u; c < WIDTH; c++) {
  d(c);
}
after();`;

const words = (code: string) => code.replace(/\s+/g, " ");

test("repeats the bodies of the named loops, inner ones too, and leaves the others", () => {
  const unrolled = words(unrollLoops(CODE, { ROWS: 2, KEYS: 2 }));
  expect(unrolled).not.toMatch(/< ROWS|< KEYS/);
  expect(unrolled).toContain("for (var c = 0u; c < WIDTH; c++) { d(c); } after();");
  expect(unrolled.match(/const r = [01]u; a\[r\] = 1;/g)).toHaveLength(2);
  expect(unrolled.match(/const n = [01]u; if \(n > r\) \{ b\[r \* KEYS \+ n\] = 2; \}/g)).toHaveLength(4);
  expect(unrolled.split("{").length).toBe(unrolled.split("}").length);
});

test("unrolls a loop inside one that stays", () => {
  const unrolled = words(unrollLoops(CODE, { KEYS: 3 }));
  expect(unrolled).toContain("for (var r = 0u; r < ROWS; r++) { a[r] = 1; {");
  expect(unrolled.match(/const n = /g)).toHaveLength(3);
});

test("changes nothing without names, and drops loops of no rounds", () => {
  expect(unrollLoops(CODE, {})).toBe(CODE);
  expect(words(unrollLoops(CODE, { WIDTH: 0 }))).not.toContain("d(c)");
});
