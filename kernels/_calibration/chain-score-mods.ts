import { fail } from "../../src/dispatch/check.js";
import type { ScoreMod } from "../softmax/index.js";
import { checkSource, declaredFunctions } from "../softmax/user-mod.js";

/**
 * One score mod of two: `then` gets the scores that `first` gives. What `then` calls its constants, bindings and functions must be
 * other names than `first` has.
 *
 * @param first default none
 * @throws AttentionError "unsupported" for a name that both have, and as softmax attention for what cannot be a mod
 */
export function chainScoreMods(first: ScoreMod | undefined, then: ScoreMod): ScoreMod {
  checkSource(then, "scoreMod");
  if (first === undefined) return then;
  // Once it is a function within another text, what is wrong with it would be said of that.
  checkSource(first, "scoreMod");
  const both = `${first.functions ?? ""}\n${then.functions ?? ""}`;
  const inner = freeName(both);
  checkNames(first, then);
  return {
    wgsl: `let score_then = ${inner}(score, b, h, i, j);\nreturn ${inner}_then(score_then, b, h, i, j);`,
    constants: { ...first.constants, ...then.constants },
    bindings: { ...first.bindings, ...then.bindings },
    functions: [both, asFunction(inner, first.wgsl), asFunction(`${inner}_then`, then.wgsl)].join("\n"),
  };
}

function asFunction(name: string, body: string): string {
  return `fn ${name}(score: f32, b: u32, h: u32, i: u32, j: u32) -> f32 {\n${body}\n}`;
}

/** Chains may be chained. */
function freeName(functions: string): string {
  let n = 1;
  while (functions.includes(`chained_score_${n}(`)) n++;
  return `chained_score_${n}`;
}

function checkNames(first: ScoreMod, then: ScoreMod): void {
  const names = ({ constants = {}, bindings = {}, functions = "" }: ScoreMod) => [
    ...Object.keys(constants),
    ...Object.keys(bindings),
    ...declaredFunctions(functions),
  ];
  const taken = new Set(names(then));
  for (const name of names(first)) {
    if (!taken.has(name)) continue;
    fail(
      "unsupported",
      `scoreMod name "${name}"`,
      "names that a chained mod does not have",
      name,
      "Rename it.",
    );
  }
}
