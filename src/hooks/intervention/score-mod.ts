import type { ScoreMod } from "webgpu-attention/softmax";
import { fail } from "../check.js";
import type { RowSet } from "../operations.js";
import { checkF32 } from "./check-operation.js";
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
 * Scales and biases of heads as a score mod of softmax attention, data for all heads in one buffer. Heads without keep their scores bit by
 * bit; a problem with a mod may be cut into other dispatches, whose sums are in another order.
 *
 * @param entries for each batch entry, the operations by head, checked each by itself
 * @returns undefined where none changes anything
 * @throws AttentionError "shape" for products that f32 cannot hold, or biases that are not one for each key
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
      const leastPosition = typeof bias.rows === "object" ? within(bias.rows.from, ALL, -ALL) : ALL;
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
        const scaled = biases.map(({ rows, keys }) => ({
          rows,
          keys: keys.map((x) => x * operation.logits),
        }));
        for (const { keys } of scaled) for (const x of keys) checkF32(`scaled bias of head ${head}`, x);
        checkF32(`scales of head ${head}, multiplied,`, factor * operation.logits);
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
      if (keys.every((x) => x === 0)) return { factor, biases };
      return { factor, biases: [...biases, { rows: operation.rows, keys }] };
    },
    { factor: 1, biases: [] },
  );
}

/** Positions beyond are those of no row, and of all. */
function within(value: number, least: number, most: number): number {
  return Math.min(Math.max(value, least), most);
}

function floatBits(value: number): number {
  return new Uint32Array(Float32Array.of(value).buffer)[0]!;
}
