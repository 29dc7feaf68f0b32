import type { Values } from "../../_playground/mechanism.js";
import { isOn, listIn, numberIn, setIn } from "../../_playground/values.js";
import type { CaseOptions, SoftmaxCase } from "../cases.js";

/** A case, and what the playground offers beyond one. */
export interface PlaygroundCase extends SoftmaxCase {
  /** Whether q, k and v of a token lie side by side in one buffer. */
  readonly fused: boolean;
  readonly lse: boolean;
}

const BIAS_AXES = ["batch", "heads", "queries", "keys"] as const;

/** The problem that the fields describe. Nothing is checked here: `check-values.ts` does, with the library's own words. */
export function readValues(values: Values): PlaygroundCase {
  const size = (name: string) => numberIn(values, name) ?? Number.NaN;
  return {
    name: "playground",
    batches: size("batches"),
    tokensQ: size("tokensQ"),
    tokensK: size("tokensK"),
    heads: size("heads"),
    kvHeads: size("kvHeads"),
    headDim: size("headDim"),
    valueDim: size("valueDim"),
    dtype: values.dtype as SoftmaxCase["dtype"],
    kvDtype: values.kvDtype as SoftmaxCase["kvDtype"],
    options: readOptions(values),
    fused: values.layout === "fused",
    lse: isOn(values, "lse"),
  };
}

function readOptions(values: Values): CaseOptions {
  const axes = setIn(values, "bias.axes");
  const offset = values.queryOffset?.trim() === "end" ? "end" : numberIn(values, "queryOffset");
  const options: CaseOptions = {
    causal: isOn(values, "causal") || undefined,
    queryOffset: offset,
    window: present({ left: numberIn(values, "window.left"), right: numberIn(values, "window.right") }),
    scale: numberIn(values, "scale"),
    softcap: numberIn(values, "softcap"),
    alibiSlopes: isOn(values, "alibiSlopes") || undefined,
    bias: isOn(values, "bias") ? (BIAS_AXES.map((axis) => axes.has(axis)) as never) : undefined,
    keyStarts: listIn(values, "keyStarts"),
    keyLengths: listIn(values, "keyLengths"),
    keyMask: (values.keyMask || undefined) as CaseOptions["keyMask"],
    sinkLogits: isOn(values, "sinkLogits") || undefined,
    rope: isOn(values, "rope")
      ? (present({
          theta: numberIn(values, "rope.theta"),
          dim: numberIn(values, "rope.dim"),
          interleaved: isOn(values, "rope.interleaved") || undefined,
          frequencies: listIn(values, "rope.frequencies"),
        }) ?? {})
      : undefined,
  };
  return present(options) ?? {};
}

/** Without the entries that are undefined; undefined when none is left. */
function present<T extends object>(entries: T): T | undefined {
  const kept = Object.entries(entries).filter(([, value]) => value !== undefined);
  return kept.length === 0 ? undefined : (Object.fromEntries(kept) as T);
}

/** The values that describe a case: the inverse, for presets. */
export function valuesOf(problem: SoftmaxCase): Values {
  const { options } = problem;
  const { window, rope, bias } = options;
  const flag = (on: boolean | undefined) => (on ? "on" : "");
  const text = (value: number | string | undefined) => (value === undefined ? "" : String(value));
  const list = (numbers: ArrayLike<number> | undefined) => Array.from(numbers ?? []).join(", ");
  const all: Values = {
    ...Object.fromEntries(SIZES.map((name) => [name, String(problem[name])])),
    dtype: problem.dtype,
    kvDtype: problem.kvDtype,
    causal: flag(options.causal),
    queryOffset: text(options.queryOffset),
    "window.left": text(window?.left),
    "window.right": text(window?.right),
    keyStarts: list(options.keyStarts),
    keyLengths: list(options.keyLengths),
    keyMask: text(options.keyMask),
    scale: text(options.scale),
    softcap: text(options.softcap),
    alibiSlopes: flag(options.alibiSlopes),
    sinkLogits: flag(options.sinkLogits),
    bias: flag(bias !== undefined),
    ...(bias && { "bias.axes": BIAS_AXES.filter((_, axis) => bias[axis]).join(" ") }),
    rope: flag(rope !== undefined),
    "rope.theta": text(rope?.theta),
    "rope.dim": text(rope?.dim),
    "rope.frequencies": list(rope?.frequencies),
    "rope.interleaved": flag(rope?.interleaved),
  };
  return all;
}

const SIZES = ["batches", "tokensQ", "tokensK", "heads", "kvHeads", "headDim", "valueDim"] as const;
