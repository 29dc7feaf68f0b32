import { expect, it } from "vitest";
import { MATMUL_CANDIDATES } from "./candidates.js";

it.each(MATMUL_CANDIDATES.map((candidate) => [candidate.name, candidate] as const))(
  "%s covers the product, with no loop over registers left",
  (name, candidate) => {
    const size = 1024;
    const code = candidate.code(size);
    expect(code).toContain(`const SIZE: u32 = ${size}u;`);
    const [rows, columns] = name.match(/\d+/g)!.map(Number) as [number, number];
    const [x, y] = candidate.workgroups(size);
    const registers = name.startsWith("registers");
    expect(x * y * rows * columns * (registers ? 16 : 1)).toBe(size * size);
    if (registers) expect(code.match(/for \(/g)).toHaveLength(1);
  },
);
