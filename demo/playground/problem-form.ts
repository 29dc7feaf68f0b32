import { type AttentionContext, AttentionError } from "webgpu-attention";
import type { PlaygroundMechanism, Values, Variant } from "../../kernels/_playground/mechanism.js";
import { fieldsOf, filledIn } from "../../kernels/_playground/values.js";
import { create } from "../common/create.js";
import { element } from "../common/elements.js";
import { FieldsView } from "./fields-view.js";
import { possibleValues } from "./link-state.js";
import { showPresets } from "./presets-view.js";

const variantSelect = element("variant", HTMLSelectElement);

/** Stands in until the device is known. */
const DEFAULT: Variant = { name: "", label: "the default of this device" };

/** What is to be run: the values of one mechanism's fields, and the variant. */
export class ProblemForm {
  readonly mechanism: PlaygroundMechanism;
  readonly name: string;
  readonly #fields: FieldsView;
  #variants: readonly Variant[] = [];
  /** The variant that a link asked for, until the device is known. */
  #wanted = "";

  constructor(name: string, mechanism: PlaygroundMechanism, onChange: () => void) {
    this.name = name;
    this.mechanism = mechanism;
    this.#fields = new FieldsView(mechanism);
    element("summary", HTMLElement).textContent = `${mechanism.title}: ${mechanism.summary}`;
    showPresets(mechanism, ({ values }) => {
      this.set(values, "");
      onChange();
    });
  }

  /** Replaces everything: given values over the initial ones. */
  set(given: Values, variant: string): void {
    this.#fields.values = possibleValues(fieldsOf(this.mechanism), given);
    this.#wanted = variant;
    this.#variants = [];
    variantSelect.replaceChildren(create("option", { value: "" }, DEFAULT.label));
  }

  get values(): Values {
    return filledIn(fieldsOf(this.mechanism), this.#fields.values);
  }

  get variant(): Variant {
    return this.#variants.find(({ name }) => name === variantSelect.value) ?? DEFAULT;
  }

  /** Name of the variant for a link; empty for the default. */
  get variantName(): string {
    if (this.#variants.length === 0) return this.#wanted;
    return this.variant.name === this.#variants[0]!.name ? "" : this.variant.name;
  }

  /**
   * Brings fields and variants up to date with the values and the device.
   *
   * @returns what is wrong with the values, as far as that is known without a device
   */
  refresh(ctx: AttentionContext | undefined): AttentionError | undefined {
    this.#fields.showPossible();
    this.#fields.markInvalid(undefined);
    if (ctx === undefined) return undefined;
    try {
      this.mechanism.check(this.values, ctx.capabilities);
      this.#offer(this.mechanism.variants(this.values, ctx.capabilities));
      return undefined;
    } catch (error) {
      if (!(error instanceof AttentionError)) throw error;
      this.markInvalid(error);
      return error;
    }
  }

  markInvalid({ details }: AttentionError): void {
    this.#fields.markInvalid(this.mechanism.fieldOf(details.subject));
  }

  /** Lists the variants; the chosen one stays chosen where it still exists. */
  #offer(variants: readonly Variant[]): void {
    const chosen = this.#variants.length === 0 ? this.#wanted : this.variant.name;
    const same = variants.map(({ name }) => name).join() === this.#variants.map(({ name }) => name).join();
    this.#variants = variants;
    if (!same || variantSelect.options.length !== variants.length) {
      variantSelect.replaceChildren(
        ...variants.map(({ name, label }) => create("option", { value: name }, label)),
      );
    }
    const known = variants.some(({ name }) => name === chosen);
    variantSelect.value = known ? chosen : variants[0]!.name;
  }
}
