import { unrollLoops } from "../../src/dispatch/unroll.js";
import registerTile from "./register_tile.wgsl?raw";
import workgroupTile from "./workgroup_tile.wgsl?raw";

/** A plain f32 kernel for C = A B of square matrices. */
export interface MatmulCandidate {
  readonly name: string;
  /** @param size rows and columns, a multiple of 64 */
  code(size: number): string;
  workgroups(size: number): readonly [x: number, y: number];
}

const THREADS = 16;

/** Rows by vec4 columns of an invocation. Small tiles suit GPUs, which spill large ones; CPU drivers punish loads. */
const REGISTER_TILES = [
  [4, 4],
  [8, 4],
  [8, 8],
  [16, 8],
  [32, 8],
] as const;

export const MATMUL_CANDIDATES: readonly MatmulCandidate[] = [
  ...REGISTER_TILES.map(([rows, columns]) => registerCandidate(rows, columns)),
  {
    name: "workgroup tile 64 x 64, 4 x 4 a thread",
    code: (size) => withConstants(workgroupTile, { SIZE: size }),
    workgroups: (size) => [size / 64, size / 64],
  },
];

function registerCandidate(rows: number, columns: number): MatmulCandidate {
  return {
    name: `registers ${rows} x ${4 * columns} a thread`,
    code: (size) =>
      unrollLoops(withConstants(registerTile, { SIZE: size, THREADS, ROWS: rows, COLUMNS: columns }), {
        ROWS: rows,
        COLUMNS: columns,
        PARTS: 4,
      }),
    workgroups: (size) => [Math.ceil(((size / rows) * (size / (4 * columns))) / THREADS), 1],
  };
}

/** The text without comments (`unrollLoops` wants none) and with other values for its constants. */
function withConstants(code: string, values: Readonly<Record<string, number>>): string {
  return Object.entries(values).reduce(
    (text, [name, value]) => {
      const changed = text.replace(
        new RegExp(`const ${name}: u32 = \\d+u;`),
        `const ${name}: u32 = ${value}u;`,
      );
      if (!changed.includes(`const ${name}: u32 = ${value}u;`))
        throw new Error(`the kernel has no constant ${name}`);
      return changed;
    },
    code.replace(/\/\/[^\n]*/g, ""),
  );
}
