import type { Grid } from "./options.js";

/** A problem that tests and benchmarks read. Sizes and choices, not data: `case-inputs.ts` makes that. */
export interface AgentCase {
  readonly name: string;
  /** Entries; with windows, whole images. */
  readonly batches: number;
  readonly tokensQ: number;
  readonly tokensK: number;
  readonly heads: number;
  readonly agents: number;
  readonly headDim: number;
  readonly valueDim: number;
  /** Storage of q, k and v, and of out. */
  readonly dtype: "f32" | "f16";
  readonly outDtype: "f32" | "f16";
  readonly agentDtype: "f32" | "f16";
  readonly options: AgentCaseOptions;
}

/** As in `AgentOptions`, with a pattern where data has to be made. */
export interface AgentCaseOptions {
  readonly scale?: number;
  readonly secondScale?: number;
  /** Which of the axes [batch, heads, rows, columns] a bias has; the others are broadcast. */
  readonly agentBias?: readonly [boolean, boolean, boolean, boolean];
  readonly queryBias?: readonly [boolean, boolean, boolean, boolean];
  /** A third of the biases are -infinity, and all of the first agent's and the last query's. */
  readonly hide?: boolean;
  readonly depthwise?: {
    readonly grid: Grid;
    readonly keyGrid?: Grid;
    readonly classToken?: boolean;
    readonly bias?: boolean;
  };
  readonly shortcut?: number;
  readonly windows?: { readonly image: Grid; readonly size: Grid };
  /** Agents pooled from q; then `agents` is the number of bins. */
  readonly pool?: { readonly grid: Grid; readonly pool: Grid | number; readonly classToken?: boolean };
  /** Scores of several hundreds. */
  readonly large?: boolean;
}

/** Largest error of f32 storage, relative to the largest reference value. */
export const TOLERANCE_F32 = 1e-5;

/** The same for f16 storage, against the reference on rounded inputs: half a unit of the eleventh bit, and a little. */
export const TOLERANCE_F16 = 2e-3;

const base: Omit<AgentCase, "name"> = {
  batches: 1,
  tokensQ: 20,
  tokensK: 37,
  heads: 2,
  agents: 5,
  headDim: 8,
  valueDim: 8,
  dtype: "f32",
  outDtype: "f32",
  agentDtype: "f32",
  options: {},
};

function define(name: string, changes: Partial<typeof base>): AgentCase {
  return { ...base, ...changes, name };
}

/** A grid of queries that are keys as well. */
function image(
  name: string,
  [rows, columns]: Grid,
  { classToken = false, ...depthwise }: Partial<NonNullable<AgentCaseOptions["depthwise"]>> = {},
  changes: Partial<typeof base> = {},
): AgentCase {
  const tokens = rows * columns + (classToken ? 1 : 0);
  const options = {
    ...changes.options,
    depthwise: { grid: [rows, columns], classToken, ...depthwise } as const,
  };
  return define(name, { tokensQ: tokens, tokensK: tokens, ...changes, options });
}

const HALVES = { dtype: "f16", outDtype: "f16", agentDtype: "f16" } as const;
const ALL = [true, true, true, true] as const;
const HEADS = [false, true, true, true] as const;

export const AGENT_CASES: readonly AgentCase[] = [
  ...[1, 3, 15, 64, 130, 256].map((dim) => define(`head dim ${dim}`, { headDim: dim, valueDim: dim })),
  define("Dv wider than D", { headDim: 3, valueDim: 72 }),
  define("Dv narrower than D", { headDim: 72, valueDim: 5 }),
  define("one query, one agent, one key", { tokensQ: 1, tokensK: 1, agents: 1 }),
  define("one key", { tokensK: 1 }),
  ...[2, 7, 9, 33, 49, 65, 81, 256].map((agents) => define(`${agents} agents`, { agents, tokensQ: 9 })),
  define("many keys", { tokensQ: 3, tokensK: 3000, heads: 1 }),
  define("batches and heads", { batches: 3, heads: 4 }),
  define("scales", { options: { scale: 0.7, secondScale: -0.3 } }),
  define("large scores", { options: { large: true, agentBias: ALL, queryBias: ALL } }),
  define("biases", { batches: 2, options: { agentBias: ALL, queryBias: ALL } }),
  define("biases of heads", { batches: 2, options: { agentBias: HEADS, queryBias: HEADS } }),
  define("biases of columns", {
    options: { agentBias: [false, false, false, true], queryBias: [false, false, true, false] },
  }),
  define("hiding biases", { batches: 2, options: { agentBias: ALL, queryBias: ALL, hide: true } }),
  define("shortcut", { tokensK: 20, options: { shortcut: 0.075, secondScale: 0.5 } }),
  image("one pixel", [1, 1]),
  image("one column", [9, 1]),
  image("one row", [1, 9], { bias: true }),
  image("image", [5, 7], { bias: true }),
  image("wide image", [3, 19], { bias: true }, { headDim: 5, valueDim: 6 }),
  image("class token", [4, 4], { bias: true, classToken: true }, { batches: 2 }),
  image("image and shortcut", [4, 9], {}, { options: { shortcut: 2 } }),
  image("wide values", [4, 3], { bias: true }, { valueDim: 132 }),
  image("values of a smaller grid", [6, 8], { keyGrid: [3, 4], bias: true }, { tokensK: 12 }),
  image("values of an uneven grid", [7, 5], { keyGrid: [3, 2] }, { tokensK: 6, valueDim: 3 }),
  image("values of a larger grid", [3, 4], { keyGrid: [7, 9] }, { tokensK: 63 }),
  image(
    "class token and values of a smaller grid",
    [4, 6],
    { keyGrid: [2, 3], classToken: true, bias: true },
    { tokensK: 7 },
  ),
  image(
    "everything",
    [7, 7],
    { classToken: true, bias: true },
    {
      batches: 2,
      agents: 9,
      options: {
        agentBias: HEADS,
        queryBias: HEADS,
        shortcut: 0.5,
        secondScale: 0.2,
        pool: { grid: [7, 7], pool: 3, classToken: true },
      },
    },
  ),
  define("pooled", { tokensQ: 35, agents: 6, options: { pool: { grid: [5, 7], pool: [2, 3] } } }),
  define("pooled to more than there is", {
    tokensQ: 6,
    agents: 16,
    headDim: 5,
    options: { pool: { grid: [2, 3], pool: 4 } },
  }),
  image(
    "stripes",
    [8, 3],
    { bias: true },
    {
      batches: 2,
      agents: 4,
      options: {
        windows: { image: [8, 6], size: [8, 3] },
        agentBias: ALL,
        queryBias: HEADS,
        pool: { grid: [8, 3], pool: 2 },
      },
    },
  ),
  image("windows", [2, 3], {}, { options: { windows: { image: [4, 9], size: [2, 3] }, shortcut: 1 } }),
  define("windows without an image", {
    tokensQ: 6,
    tokensK: 6,
    options: { windows: { image: [4, 3], size: [2, 3] } },
  }),
  define("f16", HALVES),
  define("f16, odd sizes", { ...HALVES, headDim: 5, valueDim: 3 }),
  define("f16 to f32", { ...HALVES, outDtype: "f32", agentDtype: "f32" }),
  define("f32 to f16", { outDtype: "f16", valueDim: 6 }),
  image("f16 image", [5, 5], { bias: true }, { ...HALVES, options: { queryBias: ALL } }),
  image(
    "f16 image, odd sizes, pooled",
    [5, 5],
    { bias: true },
    {
      ...HALVES,
      valueDim: 3,
      agents: 4,
      options: { pool: { grid: [5, 5], pool: 2 } },
    },
  ),
];
