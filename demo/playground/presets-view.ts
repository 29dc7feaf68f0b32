import type { PlaygroundMechanism, Preset } from "../../kernels/_playground/mechanism.js";
import { create } from "../common/create.js";
import { element } from "../common/elements.js";

/** The first group as buttons, the others in a list. */
export function showPresets({ presets }: PlaygroundMechanism, onChoose: (preset: Preset) => void): void {
  const [first, ...others] = presets;
  const buttons = (first?.presets ?? []).map((preset) => {
    const button = create("button", { type: "button" }, preset.name);
    button.addEventListener("click", () => onChoose(preset));
    return create("li", {}, button);
  });
  element("presets", HTMLUListElement).replaceChildren(...buttons);

  const all = others.flatMap((group) => group.presets);
  const select = element("test-cases", HTMLSelectElement);
  select.replaceChildren(
    create("option", { value: "" }, "choose one of many …"),
    ...others.map(({ title, presets: inGroup }) =>
      create(
        "optgroup",
        { label: title },
        ...inGroup.map((preset) => create("option", { value: String(all.indexOf(preset)) }, preset.name)),
      ),
    ),
  );
  select.parentElement!.hidden = all.length === 0;
  select.onchange = () => {
    const preset = all[Number(select.value)];
    if (select.value !== "" && preset) onChoose(preset);
  };
}
