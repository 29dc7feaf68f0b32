import { expect, test } from "vitest";
import { declarations } from "./linked-text.js";

test("declarations end outside of all brackets, after a semicolon or a brace", () => {
  const whole = [
    "const SIZE = 4u;\n",
    "const TABLE = array(\n1u,\n2u,\n);\n",
    "const SUM = SIZE +\nTABLE[\n1u\n];\n",
    "struct Pair {\na: u32,\nb: u32,\n}\n",
    "@group(0) @binding(0)\nvar<storage, read> q: array<f32>;\n",
    "fn first(\nx: f32,\ny: f32,\n) -> f32\n{\nreturn x;\n}\n",
    "fn second(\nx: f32,\ny: f32,\n) -> f32 {\nif (x > y) { return y; }\nreturn x;\n}\n",
    "@compute @workgroup_size(\nSIZE\n)\nfn main() {}\n",
  ];
  expect(declarations(whole.join(""))).toEqual(whole);
  expect(declarations("const A = 1u;\nconst B = 2u;")).toEqual(["const A = 1u;\n", "const B = 2u;"]);
});
