import { element } from "../common/elements.js";
import { FailureView } from "../common/failure-view.js";
import { megabytes, plural } from "../common/format.js";
import { PageFailure } from "../common/page-failure.js";
import { ProgressView } from "../common/progress-view.js";
import { HeatMap } from "./heat-map.js";
import { type Passage, splitPassages } from "./passages.js";
import { ResultsView } from "./results-view.js";
import { SearchEngine } from "./search-engine.js";
import type { SearchResult } from "./search-session.js";
import { selectSpread } from "./selection.js";
import { Complaint, TextSource } from "./text-source.js";

const EXAMPLES = [
  "a man goes to sea because he is melancholy",
  "the white whale",
  "a friendship between strangers",
  "fear of death",
];
const TOP = 8;

const form = element("search", HTMLFormElement);
const query = element("query", HTMLInputElement);
const limit = element("limit", HTMLSelectElement);
const submit = element("submit", HTMLButtonElement);
const cancel = element("cancel", HTMLButtonElement);
const complaint = element("complaint", HTMLElement);
const status = element("status", HTMLElement);
const adapter = element("adapter", HTMLOutputElement);
const found = element("found", HTMLElement);

const source = new TextSource();
const progress = new ProgressView();
const failure = new FailureView(() => void retry(), {
  title: "The search failed",
  advice: "Try again. If it fails the same way, search fewer passages, or reload the page.",
  retry: true,
});
const results = new ResultsView();
const map = new HeatMap((cell) => results.point(cell === undefined ? [] : [cell.row - 1, cell.column - 1]));

let engine: Promise<SearchEngine> | undefined;
let running: AbortController | undefined;
/** Whether the last search failed, so that trying again means searching again. */
let unanswered = false;

function openEngine(): Promise<SearchEngine> {
  engine ??= startEngine().catch((error) => {
    engine = undefined;
    throw error;
  });
  return engine;
}

async function startEngine(): Promise<SearchEngine> {
  // Asked here as well as in the worker, because a page without WebGPU should say so before anything is tried.
  if (navigator.gpu === undefined) throw new PageFailure("no-webgpu", "navigator.gpu is missing.");
  const opened = await SearchEngine.open(new URL("../models/use-lite/", document.baseURI).href);
  adapter.value = opened.adapter;
  void opened.lost.then((loss) => {
    engine = undefined;
    adapter.value = "nothing: the device was lost";
    failure.show(loss);
  });
  return opened;
}

async function search(): Promise<void> {
  if (running !== undefined) return;
  running = new AbortController();
  clearComplaint();
  failure.hide();
  setBusy(true);
  try {
    await answer(query.value.trim(), running.signal);
    unanswered = false;
  } catch (error) {
    explain(error);
  } finally {
    running = undefined;
    progress.hide();
    setBusy(false);
  }
}

async function answer(question: string, signal: AbortSignal): Promise<void> {
  if (question === "") throw new Complaint(query, "Say what you are looking for.");
  const passages = selectSpread(splitPassages(await source.read()), Number(limit.value));
  progress.begin("Opening the device");
  const opened = await openEngine();
  status.textContent = `Searching ${plural(passages.length, "passage")} …`;
  let firstReport: { time: number; done: number } | undefined;
  const result = await opened.search(
    passages.map(({ text }) => text),
    question,
    {
      top: TOP,
      signal,
      onLoad: (done, total) =>
        progress.show(`Loading the model: ${megabytes(done)} of ${megabytes(total)}`, done, total),
      onProgress: (done, total) => {
        firstReport ??= { time: performance.now(), done };
        const each = (performance.now() - firstReport.time) / Math.max(1, done - firstReport.done);
        const pace = done > firstReport.done ? `, ${each.toFixed(0)} ms each` : "";
        progress.show(`Reading: ${done} of ${plural(total, "sentence")}${pace}`, done, total);
      },
    },
  );
  show(result, passages);
}

function show(result: SearchResult, passages: readonly Passage[]): void {
  found.hidden = false;
  results.show(result.ranking, passages);
  map.show(result.similarities);
  status.textContent = summary(result, passages.length);
}

function summary({ encoded, milliseconds }: SearchResult, searched: number): string {
  if (encoded === 0) return `Compared with ${plural(searched, "passage")}, all read before.`;
  const each = `${(milliseconds / encoded).toFixed(milliseconds < 10 * encoded ? 1 : 0)} ms per sentence`;
  const seconds = `${(milliseconds / 1000).toFixed(milliseconds < 10_000 ? 2 : 0)} s`;
  return `Searched ${plural(searched, "passage")}: read ${plural(encoded, "new sentence")} in ${seconds}, ${each}.`;
}

function explain(error: unknown): void {
  if (error instanceof Complaint) {
    status.textContent = "";
    complain(error);
  } else if (error instanceof PageFailure && error.code === "aborted") {
    status.textContent = "Cancelled. What was read is kept.";
  } else {
    unanswered = true;
    status.textContent = "";
    failure.show(error);
  }
}

async function retry(): Promise<void> {
  failure.hide();
  if (unanswered) await search();
  else await openEngine().catch(explainOpening);
}

function explainOpening(error: unknown): void {
  adapter.value = "nothing";
  submit.disabled = error instanceof PageFailure && error.code === "no-webgpu";
  status.textContent = "";
  failure.show(error);
}

function complain({ field, message }: Complaint): void {
  field.closest("[data-field]")?.append(complaint);
  complaint.textContent = message;
  field.setAttribute("aria-invalid", "true");
  field.setAttribute("aria-describedby", complaint.id);
  field.focus();
}

function clearComplaint(): void {
  complaint.textContent = "";
  for (const field of form.querySelectorAll("[aria-invalid]")) {
    field.removeAttribute("aria-invalid");
    field.removeAttribute("aria-describedby");
  }
}

function setBusy(busy: boolean): void {
  const focused = document.activeElement;
  submit.hidden = busy;
  cancel.hidden = !busy;
  // The one takes the other's place, and its keyboard focus.
  if (focused === submit) cancel.focus();
  if (focused === cancel) submit.focus();
  form.setAttribute("aria-busy", String(busy));
}

function exampleButton(text: string): HTMLLIElement {
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = text;
  button.addEventListener("click", () => {
    query.value = text;
    void search();
  });
  const item = document.createElement("li");
  item.append(button);
  return item;
}

element("examples", HTMLUListElement).append(...EXAMPLES.map(exampleButton));
form.addEventListener("submit", (event) => {
  event.preventDefault();
  void search();
});
cancel.addEventListener("click", () => running?.abort());
document.addEventListener("keydown", ({ key }) => {
  if (key === "Escape") running?.abort();
});
void openEngine().catch(explainOpening);
