import type { Pass } from "webgpu-attention";
import { create } from "../common/create.js";
import { duration, withPrefix } from "./format.js";
import { type PassRow, passRows } from "./pass-rows.js";

const COLUMNS = ["pass", "variant", "workgroups", "work", "traffic", "time"];

export function passesTable(passes: readonly Pass[], times?: readonly number[]): HTMLElement {
  const rows = passRows(passes, times);
  const head = create("tr", {}, ...COLUMNS.map((title) => create("th", { scope: "col" }, title)));
  return create(
    "section",
    { class: "table-section", "aria-label": "Passes" },
    create("h2", {}, passes.length === 1 ? "One pass" : `${passes.length} passes`),
    create(
      "div",
      { class: "scroller", tabindex: "0", role: "group", "aria-label": "Passes" },
      create(
        "table",
        { class: "passes" },
        create("thead", {}, head),
        create("tbody", {}, ...rows.flatMap(bodyRows)),
      ),
    ),
  );
}

function bodyRows(row: PassRow): HTMLElement[] {
  const { name, variant, constants, workgroups, count, flops, bytes, milliseconds } = row;
  const cells = [
    variant,
    count === 1 ? workgroups : `${workgroups}, ${count} times`,
    withPrefix(flops, "FLOP"),
    withPrefix(bytes, "B"),
    milliseconds === undefined ? "–" : milliseconds > 0 ? duration(milliseconds) : "too short",
  ];
  return [
    create(
      "tr",
      {},
      create("th", { scope: "row" }, create("code", {}, name)),
      ...cells.map((cell) => create("td", {}, cell)),
    ),
    create("tr", { class: "constants" }, create("td", { colspan: String(COLUMNS.length) }, constants)),
  ];
}
