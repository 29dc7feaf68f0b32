/** What the page offers to do to heads, as data: fields, words and papers. The worker turns choices into operations. */
import type { Values } from "../common/hash-values.js";
import type { HeadPlace } from "../common/heads.js";

export interface NumberField {
  readonly kind: "number";
  readonly name: string;
  readonly label: string;
  readonly initial: string;
  readonly min: number;
  readonly max: number;
  readonly step: number;
}

export interface ChoiceField {
  readonly kind: "choice";
  readonly name: string;
  readonly label: string;
  readonly initial: string;
  readonly choices: readonly { readonly value: string; readonly label: string }[];
}

export interface HookKind {
  readonly name: "mask" | "gain" | "scores" | "identity" | "calibrate";
  readonly title: string;
  /** What it does, in a sentence. */
  readonly summary: string;
  readonly paper: { readonly title: string; readonly arxiv: string };
  readonly fields: readonly (NumberField | ChoiceField)[];
  /** Which heads it takes to begin with. */
  readonly initialHeads: "one layer" | "all";
  /** Whether it looks at a whole text at once, so that in its midst it knows what comes behind. */
  readonly seesAhead?: boolean;
}

/** A hook that is switched on, as the page tells the worker. */
export interface HookChoice {
  readonly kind: HookKind["name"];
  readonly heads: readonly HeadPlace[];
  /** By the names of the kind's fields. */
  readonly values: Values;
}

/** Whether what a text is read with has seen, in its midst, what comes behind. */
export function seesAhead(choices: readonly HookChoice[]): boolean {
  return choices.some(({ kind }) => HOOK_KINDS.find(({ name }) => name === kind)?.seesAhead);
}

const strength = { kind: "number", min: 0, max: 1, step: 0.05 } as const;

/** In the order in which they act on a head. */
export const HOOK_KINDS: readonly HookKind[] = [
  {
    name: "scores",
    title: "Sharpen or flatten heads",
    summary:
      "Multiplies a head's scores before softmax: above 1 it looks harder at what it likes, below 1 more evenly at everything.",
    paper: { title: "YaRN, whose attention temperature it is", arxiv: "2309.00071" },
    fields: [
      {
        ...{ kind: "number", name: "factor", label: "Scores times", initial: "0.3" },
        ...{ min: 0, max: 4, step: 0.1 },
      },
    ],
    initialHeads: "one layer",
  },
  {
    name: "mask",
    title: "Mask heads",
    summary:
      "Takes from a head what it has learned to look at: it looks at all tokens alike, or gives nothing at all. Masking retrieval heads hurts most where a text has to be remembered.",
    paper: { title: "AttentionInfluence", arxiv: "2505.07293" },
    fields: [
      {
        ...{ kind: "choice", name: "into", label: "A masked head", initial: "uniform" },
        choices: [
          { value: "uniform", label: "looks at all tokens alike" },
          { value: "zero", label: "gives nothing" },
        ],
      },
    ],
    initialHeads: "one layer",
  },
  {
    name: "identity",
    title: "Perturb heads towards the identity",
    summary:
      "Moves a head's pattern towards looking only at the token itself, by a share u: the weaker model that guidance of images steers away from.",
    paper: { title: "HeadHunter and SoftPAG", arxiv: "2506.10978" },
    fields: [{ ...strength, name: "u", label: "Strength u", initial: "0.5" }],
    initialHeads: "one layer",
  },
  {
    name: "calibrate",
    title: "Calibrate attention sinks",
    summary:
      "Finds tokens that receive much attention without meaning much, lets them keep a share β of it, and gives the rest to the other tokens in proportion. The paper spares the first token. While text is written, sinks are found anew with each token.",
    paper: { title: "ACT", arxiv: "2406.15765" },
    fields: [
      { ...strength, name: "theta", label: "A sink receives more than θ", initial: "0.1", step: 0.01 },
      { ...strength, name: "beta", label: "It keeps β", initial: "0.4" },
      {
        ...{ kind: "choice", name: "first", label: "The first token", initial: "spared" },
        choices: [
          { value: "spared", label: "is spared" },
          { value: "too", label: "can be a sink too" },
        ],
      },
    ],
    initialHeads: "all",
    seesAhead: true,
  },
  {
    name: "gain",
    title: "Scale heads",
    summary:
      "Multiplies what a head gives to the rest of the model: 0 removes it, 1 leaves it, more makes it louder.",
    paper: { title: "Are Sixteen Heads Really Better than One?", arxiv: "1905.10650" },
    fields: [
      {
        ...{ kind: "number", name: "factor", label: "Output times", initial: "2" },
        ...{ min: -2, max: 4, step: 0.1 },
      },
    ],
    initialHeads: "one layer",
  },
];
