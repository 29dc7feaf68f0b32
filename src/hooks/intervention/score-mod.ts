import type { ScoreMod } from "webgpu-attention/softmax";
import { checkFinite, checkWithin, fail } from "../check.js";
import type { RowSet } from "../operations.js";
import type { ScoreOperation } from "./stages.js";

/** Smaller than every position of a query row. */
const ALL = -(2 ** 30);
/** Behind every query row. */
const NO_ROW = 0xffffffff;

/** A head's scores become `factor` times what they are, plus the biases of those rows. */
interface ScoreChange {
  readonly factor: number;
  readonly biases: readonly { readonly rows: RowSet; readonly keys: Float64Array }[];
}

/**
 * Scales and biases of heads as a score mod of softmax attention, data for all heads in one buffer. Heads without keep their scores bit by bit.
 *
 * @param entries for each batch entry, the operations by head
 * @returns undefined where none changes anything
 * @throws AttentionError "shape" for numbers that are not finite or biases that are not one for each key
 */
export function headScoreMod(
  entries: readonly ReadonlyMap<number, readonly ScoreOperation[]>[],
  { heads, tokensQ, tokensK }: { readonly heads: number; readonly tokensQ: number; readonly tokensK: number },
): ScoreMod | undefined {
  const changes = entries.flatMap((entry) =>
    Array.from({ length: heads }, (_, head) => changeOf(entry.get(head) ?? [], head, tokensK)),
  );
  const isChanged = ({ factor, biases }: ScoreChange) => factor !== 1 || biases.length > 0;
  if (!changes.some(isChanged)) return undefined;

  // [batches * heads] of (factor, then for each bias: least row, least position, place of its keys), then the keys.
  const most = Math.max(...changes.map(({ biases }) => biases.length));
  const size = 1 + 3 * most;
  const headers: number[] = [];
  const keys: number[] = [];
  for (const { factor, biases } of changes) {
    headers.push(floatBits(factor));
    for (let n = 0; n < most; n++) {
      const bias = biases[n];
      if (!bias) {
        headers.push(NO_ROW, 0, 0);
        continue;
      }
      const leastRow = bias.rows === "last" ? tokensQ - 1 : 0;
      const leastPosition = typeof bias.rows === "object" ? bias.rows.from : ALL;
      headers.push(leastRow, leastPosition >>> 0, size * changes.length + keys.length);
      for (const value of bias.keys) keys.push(floatBits(value));
    }
  }
  // Without branches: kernels repeat it for every score of a tile, and some drivers take minutes over so many.
  return {
    wgsl: `
  let header = ${size}u * (b * head_score_heads + h);
  var changed = score * bitcast<f32>(head_scores[header]);
${Array.from({ length: most }, (_, n) => biasText(1 + 3 * n)).join("")}
  return select(changed, score, score <= -1.0e38);`,
    constants: { head_score_heads: heads, head_score_keys: tokensK },
    bindings: { head_scores: { type: "array<u32>", data: [...headers, ...keys] } },
  };
}

/** The bias whose words are so many behind the header. */
function biasText(at: number): string {
  const word = (n: number) => `head_scores[header + ${at + n}u]`;
  const applies = `(i >= ${word(0)}) & (query_position(b, i) >= bitcast<i32>(${word(1)}))`;
  const value = `bitcast<f32>(head_scores[${word(2)} + min(j, head_score_keys - 1u)])`;
  return `  changed += select(0.0, ${value}, ${applies});\n`;
}

/** Operations in their order: a scale also scales the biases before it. Biases of zeros are none. */
function changeOf(operations: readonly ScoreOperation[], head: number, tokensK: number): ScoreChange {
  return operations.reduce<ScoreChange>(
    ({ factor, biases }, operation) => {
      if (operation.kind === "scale") {
        checkWithin(`scale of head ${head}`, operation.logits, Number.NEGATIVE_INFINITY);
        const scaled = biases.map(({ rows, keys }) => ({
          rows,
          keys: keys.map((x) => x * operation.logits),
        }));
        return { factor: factor * operation.logits, biases: scaled };
      }
      const keys = Float64Array.from(operation.keys);
      if (keys.length !== tokensK)
        fail(
          "shape",
          `bias of head ${head}`,
          `${tokensK} values, one for each key`,
          keys.length,
          "Pad with 0.",
        );
      checkFinite(`bias of head ${head}`, keys);
      if (keys.every((x) => x === 0)) return { factor, biases };
      return { factor, biases: [...biases, { rows: checkedRows(operation.rows, head), keys }] };
    },
    { factor: 1, biases: [] },
  );
}

function checkedRows(rows: RowSet, head: number): RowSet {
  const isFrom = typeof rows === "object" && rows !== null && Number.isSafeInteger(rows.from);
  if (rows === "all" || rows === "last" || isFrom) return rows;
  return fail("shape", `rows of head ${head}`, '"all", "last" or { from: position }', rows, "See RowSet.");
}

function floatBits(value: number): number {
  return new Uint32Array(Float32Array.of(value).buffer)[0]!;
}
