/**
 * What a mechanism tells the playground page about itself. The page finds `kernels/<mechanism>/playground.ts` by itself and
 * takes its default export, so a new mechanism appears there without a change to the page. Never part of the package.
 */

import type { Capabilities } from "../../src/dispatch/capabilities.js";
import type { AttentionContext } from "../../src/dispatch/context.js";
import type { Pass, PassCost } from "../../src/dispatch/pass.js";
import type { Profiler } from "../../src/dispatch/profiler.js";

/** What stands in the fields, as text, by field name: what a form holds and what a link carries. */
export type Values = Readonly<Record<string, string>>;

/** @typeParam Configuration how a variant runs, as the mechanism's `plan...` function takes it */
export interface PlaygroundMechanism<Configuration extends object = object> {
  readonly title: string;
  /** What it computes, in a line or two. */
  readonly summary: string;
  readonly groups: readonly FieldGroup[];
  /** The first group is offered prominently, the others in a list. */
  readonly presets: readonly PresetGroup[];
  /** Whether a device with these capabilities can run these values. @throws AttentionError */
  check(values: Values, capabilities: Capabilities): void;
  /** The field that the subject of an `AttentionError` speaks of. */
  fieldOf(subject: string): string | undefined;
  /** Ways to run the same problem, the default first; values have passed `check`. */
  variants(values: Values, capabilities: Capabilities): readonly Variant<Configuration>[];
  /** Uploads inputs and compiles, pausing for the page. The caller destroys what it gets. */
  prepare(
    ctx: AttentionContext,
    values: Values,
    variant: Variant<Configuration>,
    task: PlaygroundTask,
  ): Promise<PreparedRun>;
  /** A complete TypeScript module that computes the same numbers with the package. */
  snippet(values: Values, variant: Variant<Configuration>): string;
}

/** Work that a person waits for, and may cancel. */
export interface PlaygroundTask {
  readonly signal: AbortSignal;
  /** Says what is being done, and how much of it where that is known. */
  readonly onPhase: (phase: string, done?: number, total?: number) => void;
}

export interface Variant<Configuration extends object = object> {
  /** Names it in links: the same configuration has the same name on every device. */
  readonly name: string;
  readonly label: string;
  /** `undefined` leaves the choice to the library. */
  readonly configuration?: Configuration;
}

export interface FieldGroup {
  readonly title: string;
  readonly fields: readonly Field[];
}

export type Field = NumberField | TextField | ChoiceField | ToggleField | SetField;

interface FieldBase {
  /** An option's field has the option's name, or its path: `"window.left"`. */
  readonly name: string;
  readonly label: string;
  /** Says what the label cannot. */
  readonly hint?: string;
  /** The value of a fresh page; links leave it out. */
  readonly initial: string;
  /** Shown only while this toggle is on. */
  readonly within?: string;
}

export interface NumberField extends FieldBase {
  readonly kind: "number";
  /** What an empty field means. */
  readonly placeholder?: string;
}

/** Short free text: a list, or a number with a special word. */
export interface TextField extends FieldBase {
  readonly kind: "text";
  readonly placeholder?: string;
}

export interface ChoiceField extends FieldBase {
  readonly kind: "choice";
  readonly choices: readonly Choice[];
}

/** `"on"` or empty. */
export interface ToggleField extends FieldBase {
  readonly kind: "toggle";
}

/** Any number of choices; the value lists them, separated by spaces. */
export interface SetField extends FieldBase {
  readonly kind: "set";
  readonly choices: readonly Choice[];
}

export interface Choice {
  readonly value: string;
  readonly label: string;
}

export interface PresetGroup {
  readonly title: string;
  readonly presets: readonly Preset[];
}

/** Values that differ from the initial ones. */
export interface Preset {
  readonly name: string;
  readonly values: Values;
}

/** A problem on the GPU, ready to be run any number of times. */
export interface PreparedRun {
  /** What the variant came to, where that was found out just now. */
  readonly choice?: string;
  readonly passes: readonly Pass[];
  readonly cost: PassCost;
  /** The passes in order, in parts that are submitted one by one. */
  readonly segments: readonly PreparedSegment[];
  /** Compares what the last run wrote with the float64 reference. Pauses often enough for the page to stay responsive. */
  verify(signal: AbortSignal): Promise<Verification>;
  /** Where some queries look. Computed in float64 from the same inputs. */
  weights?(signal: AbortSignal): Promise<WeightsPicture>;
  destroy(): void;
}

export interface PreparedSegment {
  readonly passes: readonly Pass[];
  record(encoder: GPUCommandEncoder, profiler?: Profiler): void;
}

export interface Verification {
  readonly outputs: readonly VerifiedOutput[];
  /** What was compared: `"all 66 rows"`. */
  readonly extent: string;
  /** Why the tolerance is what it is, where that is not plain. */
  readonly note?: string;
}

export interface VerifiedOutput {
  readonly name: string;
  /** Largest error relative to the largest reference value; infinite where something was not written. */
  readonly error: number;
  readonly tolerance: number;
  /** All that the run wrote. */
  readonly values: Float32Array;
}

/** Attention weights of one head: a row for each of some queries, a column for each range of keys. */
export interface WeightsPicture {
  readonly title: string;
  readonly rows: readonly string[];
  readonly columns: readonly string[];
  /** [rows, columns], each the sum over the column's keys. */
  readonly values: Float64Array;
}
