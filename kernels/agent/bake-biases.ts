import { fail } from "../../src/dispatch/check.js";
import { checkOptions } from "../../src/dispatch/validate.js";
import { area, checkSizes } from "./grids.js";
import type { Grid } from "./options.js";

/** Learned biases of a checkpoint, flat in row-major order. H heads, n agents, [h, w] the queries' grid, [hk, wk] the keys'. */
export interface AgentBiases {
  /** [H, n, 7, 7]: blocks that are resized to the keys' grid; any square will do. */
  readonly anBias: ArrayLike<number>;
  /** [H, n, 7, 7]: the same for the queries' grid. */
  readonly naBias: ArrayLike<number>;
  /** [H, n, hk] and [H, n, wk] */
  readonly ahBias: ArrayLike<number>;
  readonly awBias: ArrayLike<number>;
  /** [H, h, n] and [H, w, n] */
  readonly haBias: ArrayLike<number>;
  readonly waBias: ArrayLike<number>;
  /** [H, n]: the class token as a key. */
  readonly acBias?: ArrayLike<number>;
  /** [H, n]: the class token as a query. */
  readonly caBias?: ArrayLike<number>;
}

export interface AgentBiasSizes {
  readonly heads: number;
  /** n */
  readonly agents: number;
  readonly grid: Grid;
  /** Default `grid`. */
  readonly keyGrid?: Grid;
}

/**
 * Turns a checkpoint's biases into those of `agentAttention`, on the CPU, once at load: they depend on weights alone.
 *
 *     B1[h, a, (y, x)] = resized an[h, a, y, x] + ah[h, a, y] + aw[h, a, x]
 *     B2[h, (y, x), a] = resized na[h, a, y, x] + ha[h, y, a] + wa[h, x, a]
 *
 * Resizing is bilinear with half-pixel centres and no antialiasing, also where it shrinks (torch's `interpolate`). With `acBias`
 * the class token is key column 0, with `caBias` query row 0.
 *
 * @returns agentBias [1, H, n, M] and queryBias [1, H, N, n] as flat arrays: upload them with `ctx.fromArray(data, shape)`
 * @throws AttentionError "shape" for arrays of another size, "unsupported" for unknown names
 */
export function bakeAgentBiases(
  biases: AgentBiases,
  sizes: AgentBiasSizes,
): { agentBias: Float32Array<ArrayBuffer>; queryBias: Float32Array<ArrayBuffer> } {
  checkOptions("bakeAgentBiases", biases, Object.keys(PLACES));
  checkOptions("bakeAgentBiases sizes", sizes, ["heads", "agents", "grid", "keyGrid"]);
  const { heads, agents, grid, keyGrid = grid } = sizes;
  const side = checkBiases(biases, heads, agents, grid, keyGrid);
  const { anBias, naBias, ahBias, awBias, haBias, waBias, acBias, caBias } = biases;
  const keyAxes = keyGrid.map((size) => axisSamples(side, size));
  const queryAxes = grid.map((size) => axisSamples(side, size));
  const [keyClass, queryClass] = [acBias ? 1 : 0, caBias ? 1 : 0];
  const [keys, queries] = [area(keyGrid) + keyClass, area(grid) + queryClass];
  const agentBias = new Float32Array(heads * agents * keys);
  const queryBias = new Float32Array(heads * queries * agents);

  for (let h = 0; h < heads; h++) {
    for (let a = 0; a < agents; a++) {
      const row = h * agents + a;
      const block = row * side * side;
      if (acBias) agentBias[row * keys] = acBias[row]!;
      if (caBias) queryBias[h * queries * agents + a] = caBias[row]!;
      eachPlace(keyGrid, (y, x, place) => {
        const lines = ahBias[row * keyGrid[0] + y]! + awBias[row * keyGrid[1] + x]!;
        agentBias[row * keys + keyClass + place] =
          bilinear(anBias, block, side, keyAxes[0]![y]!, keyAxes[1]![x]!) + lines;
      });
      eachPlace(grid, (y, x, place) => {
        const lines = haBias[(h * grid[0] + y) * agents + a]! + waBias[(h * grid[1] + x) * agents + a]!;
        queryBias[(h * queries + queryClass + place) * agents + a] =
          bilinear(naBias, block, side, queryAxes[0]![y]!, queryAxes[1]![x]!) + lines;
      });
    }
  }
  return { agentBias, queryBias };
}

/** Values of each array for one head and agent. */
const PLACES: Readonly<Record<keyof AgentBiases, (grid: Grid, keyGrid: Grid, side: number) => number>> = {
  anBias: (_, __, side) => side ** 2,
  naBias: (_, __, side) => side ** 2,
  ahBias: (_, [rows]) => rows,
  awBias: (_, [, columns]) => columns,
  haBias: ([rows]) => rows,
  waBias: ([, columns]) => columns,
  acBias: () => 1,
  caBias: () => 1,
};

/** @returns side of the square blocks */
function checkBiases(biases: AgentBiases, heads: number, agents: number, grid: Grid, keyGrid: Grid): number {
  for (const [name, size] of Object.entries({ heads, agents })) {
    if (Number.isSafeInteger(size) && size >= 1) continue;
    fail("shape", name, "an integer of at least 1", size, "Sizes are { heads, agents, grid, keyGrid? }.");
  }
  checkSizes("grid", grid);
  checkSizes("keyGrid", keyGrid);
  const side = Math.max(1, Math.floor(Math.sqrt((biases.anBias?.length ?? 0) / (heads * agents))));
  for (const [name, placesOf] of Object.entries(PLACES)) {
    const values = biases[name as keyof AgentBiases];
    if (values === undefined && (name === "acBias" || name === "caBias")) continue;
    const places = placesOf(grid, keyGrid, side);
    const expected = `${heads * agents * places} values, ${places} for each head and agent`;
    if (values?.length === heads * agents * places) continue;
    const fix = "Give arrays flat, in row-major order; blocks are squares of one size.";
    fail("shape", name, expected, values?.length, fix);
  }
  return side;
}

interface Sample {
  readonly low: number;
  readonly high: number;
  readonly share: number;
}

/** Where the places of an axis of `size` lie among `source` places. */
function axisSamples(source: number, size: number): Sample[] {
  return Array.from({ length: size }, (_, place) => {
    const at = Math.max(((place + 0.5) * source) / size - 0.5, 0);
    const low = Math.floor(at);
    return { low, high: Math.min(low + 1, source - 1), share: at - low };
  });
}

function bilinear(values: ArrayLike<number>, first: number, side: number, y: Sample, x: Sample): number {
  const line = (row: number): number => {
    const start = first + row * side;
    return values[start + x.low]! * (1 - x.share) + values[start + x.high]! * x.share;
  };
  return line(y.low) * (1 - y.share) + line(y.high) * y.share;
}

function eachPlace([rows, columns]: Grid, visit: (y: number, x: number, place: number) => void): void {
  for (let y = 0; y < rows; y++) for (let x = 0; x < columns; x++) visit(y, x, y * columns + x);
}
