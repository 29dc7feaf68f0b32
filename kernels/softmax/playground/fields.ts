import type { Choice, FieldGroup } from "../../_playground/mechanism.js";

const STORAGE: readonly Choice[] = [
  { value: "f32", label: "f32" },
  { value: "f16", label: "f16" },
];

const count = (name: string, label: string, initial: number) =>
  ({ kind: "number", name, label, initial: String(initial) }) as const;

const toggle = (name: string, label: string, hint?: string) =>
  ({ kind: "toggle", name, label, initial: "", ...(hint && { hint }) }) as const;

/** The fields of softmax attention. Those of options are named by the option, `"window.left"` by its path. */
export const SOFTMAX_FIELDS: readonly FieldGroup[] = [
  {
    title: "Shape",
    fields: [
      count("batches", "Batch", 1),
      count("tokensQ", "Query tokens", 64),
      count("tokensK", "Key tokens", 64),
      count("heads", "Query heads", 4),
      count("kvHeads", "Key heads", 4),
      count("headDim", "D of q, k", 64),
      count("valueDim", "Dv of v", 64),
      { kind: "choice", name: "dtype", label: "Store q, out", choices: STORAGE, initial: "f32" },
      { kind: "choice", name: "kvDtype", label: "Store k, v", choices: STORAGE, initial: "f32" },
    ],
  },
  {
    title: "Positions and masks",
    fields: [
      toggle("causal", "Causal", "a query sees no later key"),
      {
        kind: "text",
        name: "queryOffset",
        label: "Query offset",
        hint: "position of query 0 among the keys, or end",
        placeholder: "Tk − Tq",
        initial: "",
      },
      {
        kind: "number",
        name: "window.left",
        label: "Window left",
        hint: "keys seen before the query",
        placeholder: "all",
        initial: "",
      },
      {
        kind: "number",
        name: "window.right",
        label: "Window right",
        hint: "keys seen after it",
        placeholder: "all",
        initial: "",
      },
      {
        kind: "text",
        name: "keyStarts",
        label: "Key starts",
        hint: "left padding, one number a batch entry",
        placeholder: "0, …",
        initial: "",
      },
      {
        kind: "text",
        name: "keyLengths",
        label: "Key lengths",
        hint: "right padding or cache fill, one a batch entry",
        placeholder: "Tk, …",
        initial: "",
      },
      {
        kind: "choice",
        name: "keyMask",
        label: "Key mask",
        initial: "",
        choices: [
          { value: "", label: "none" },
          { value: "random", label: "random half" },
          { value: "blocks", label: "blocks: 40 hidden, 24 seen" },
          { value: "none", label: "no key of entry 0" },
        ],
      },
    ],
  },
  {
    title: "Scores",
    fields: [
      { kind: "number", name: "scale", label: "Scale", placeholder: "1 / √D", initial: "" },
      { kind: "number", name: "softcap", label: "Soft cap", placeholder: "none", initial: "" },
      toggle("alibiSlopes", "ALiBi", "slope 2^(−8 (h + 1) / H) times distance"),
      toggle("sinkLogits", "Sink logits", "one a head, in the denominator only"),
      toggle("bias", "Bias", "added to the scores"),
      {
        kind: "set",
        name: "bias.axes",
        label: "Bias axes",
        hint: "the others are broadcast",
        within: "bias",
        initial: "heads queries keys",
        choices: ["batch", "heads", "queries", "keys"].map((axis) => ({ value: axis, label: axis })),
      },
      toggle("rope", "Rotary embedding", "turns q and k as they are read"),
      {
        kind: "number",
        name: "rope.theta",
        label: "Theta",
        placeholder: "10000",
        within: "rope",
        initial: "",
      },
      {
        kind: "number",
        name: "rope.dim",
        label: "Rotated channels",
        placeholder: "D",
        within: "rope",
        initial: "",
      },
      {
        kind: "text",
        name: "rope.frequencies",
        label: "Frequencies",
        hint: "radians a token, one for each pair of channels; instead of theta",
        placeholder: "from theta",
        within: "rope",
        initial: "",
      },
      { ...toggle("rope.interleaved", "Interleaved pairs", "(2n, 2n + 1) as in GPT-J"), within: "rope" },
    ],
  },
  {
    title: "Memory",
    fields: [
      {
        kind: "choice",
        name: "layout",
        label: "Inputs",
        initial: "",
        choices: [
          { value: "", label: "q, k and v in buffers of their own" },
          { value: "fused", label: "one fused qkv buffer, strided" },
        ],
      },
      toggle("lse", "Log-sum-exp", "write it for every row"),
    ],
  },
];
