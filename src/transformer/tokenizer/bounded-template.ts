import type { Template } from "@huggingface/jinja";

/** Rounds of all loops, calls of macros and numbers of ranges together. Conversations take a few for each message. */
const MOST_ROUNDS = 100_000;

/** Names that no template uses: of the function that counts a round, and of the one in place of `range`. */
const ROUND = "webgpu_attention_round";
const RANGE = "webgpu_attention_range";

type Jinja = typeof import("@huggingface/jinja");

/** What a render may use: it counts, and throws when there is too much of it. */
class Rounds {
  #left = MOST_ROUNDS;

  take(count: number): void {
    this.#left -= count;
    // Written this way round, NaN is too much, too.
    if (!(this.#left >= 0)) throw new Error(`the template takes more than ${MOST_ROUNDS} rounds`);
  }
}

/**
 * Has every loop and macro of a template count its rounds: templates come with models, and a loop over `range(10**9)`, or loops within
 * loops, would hang whoever renders them.
 *
 * @returns renders the template
 */
export function boundedTemplate(jinja: Jinja, text: string): (items: Record<string, unknown>) => string {
  const template: Template = new jinja.Template(text);
  const [count] = jinja.parse(jinja.tokenize(`{{ ${ROUND}() }}`)).body;
  bound(template.parsed, count);
  return (items) => {
    const rounds = new Rounds();
    const own = {
      [ROUND]: () => {
        rounds.take(1);
        return "";
      },
      [RANGE]: (start: number, stop?: number, step?: number) => boundedRange(rounds, start, stop, step),
    };
    return template.render({ ...items, ...own });
  };
}

/** What is read of a template's tree. */
interface Node {
  readonly type?: string;
  readonly body?: unknown;
  value?: unknown;
  readonly computed?: unknown;
}

/** Puts the statement that counts at the beginning of each body that may run more than once, and its own range in place of the package's. */
function bound(node: Node, count: unknown): void {
  if (node.type === "Identifier" && node.value === "range") node.value = RANGE;
  for (const [name, part] of Object.entries(node)) {
    const isName =
      (node.type === "MemberExpression" && name === "property" && !node.computed) ||
      (node.type === "KeywordArgumentExpression" && name === "key");
    if (typeof part === "object" && part !== null && !isName) bound(part, count);
  }
  const isRepeated = node.type === "For" || node.type === "Macro" || node.type === "CallStatement";
  if (isRepeated && Array.isArray(node.body)) node.body.unshift(count);
}

/** Python's `range`, as `@huggingface/jinja` has it. */
function boundedRange(rounds: Rounds, first: number, last: number | undefined, step = 1): number[] {
  const [start, stop] = last === undefined ? [0, first] : [first, last];
  if (step === 0) throw new Error("range() step must not be zero");
  const length = Math.max(Math.ceil((stop - start) / step), 0);
  rounds.take(length);
  return Array.from({ length }, (_, index) => start + index * step);
}
