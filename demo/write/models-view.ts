import { type CatalogueModel, mechanismTitle } from "../common/catalogue.js";
import { create } from "../common/create.js";
import { element } from "../common/elements.js";
import { megabytes, parameterCount } from "../common/format.js";

/** A radio button for each language model, with its figures. */
export function showModels(
  models: readonly CatalogueModel[],
  chosen: CatalogueModel,
  onChange: (model: CatalogueModel) => void,
): void {
  const best = Math.min(...models.map(({ bitsPerByte = Number.POSITIVE_INFINITY }) => bitsPerByte));
  const choices = models.map((model) => {
    const radio = create("input", {
      ...{ type: "radio", name: "model", value: model.name, checked: model === chosen },
    });
    radio.addEventListener("change", () => onChange(model));
    const words = create(
      "span",
      { class: "model-words" },
      create("strong", {}, mechanismTitle(model)),
      create("span", { class: "hint" }, figures(model, best)),
    );
    return create("label", { class: "model" }, radio, words);
  });
  element("models", HTMLElement).replaceChildren(...choices);
}

function figures(model: CatalogueModel, best: number): string {
  const { name, parameters, bitsPerByte, bytes, trainingSteps, continues } = model;
  const steps = trainingSteps?.toLocaleString("en");
  const parts = [
    name,
    parameters !== undefined && parameterCount(parameters),
    megabytes(bytes),
    steps && (continues ? `${steps} training steps after ${continues}` : `${steps} training steps`),
    bitsPerByte !== undefined && `${bitsPerByte.toFixed(3)} bits per byte`,
    bitsPerByte === best && "the best of these",
  ];
  return parts.filter(Boolean).join(" · ");
}
