import { type CatalogueModel, fetchCatalogue, modelPlace } from "../common/catalogue.js";
import { create } from "../common/create.js";
import { element } from "../common/elements.js";
import { megabytes } from "../common/format.js";
import { fromHash, keepInAddress, type Values } from "../common/hash-values.js";
import { KeptWorker } from "../common/kept-worker.js";
import { PageTasks } from "../common/page-tasks.js";
import { measureRunBar } from "../common/run-bar.js";
import { unlessAborted } from "../common/unless-aborted.js";
import type { WorkerClient } from "../common/worker-client.js";
import { callOfChange, type Stage } from "./changes.js";
import { ExpectedView } from "./expected-view.js";
import { seesAhead } from "./hook-kinds.js";
import { HooksView, INITIAL_HOOKS } from "./hooks-view.js";
import { showModels } from "./models-view.js";
import { INITIAL_SAMPLING, samplingOf } from "./sampling.js";
import { TextView } from "./text-view.js";
import type { Text, WriteTasks } from "./write-tasks.js";

const EXAMPLES = [
  "It was a dark and stormy night; and Elizabeth",
  "The white whale",
  "My dear Mr. Knightley,",
  "Ahab said to Emma that",
];
const FIELDS = { ...INITIAL_SAMPLING, prompt: EXAMPLES[0]!, maxTokens: "100" };
/** Candidates of each of the two distributions. */
const TOP = 8;

/** What is being done. */
interface UnderWay {
  /** Whose work it is. */
  readonly model: CatalogueModel;
  /** The same from its beginning, by the model that is chosen then. */
  readonly again: () => Promise<void>;
  stage: Stage;
}

const form = element("writing", HTMLFormElement);
const prompt = element("prompt", HTMLTextAreaElement);
const write = element("write", HTMLButtonElement);
const look = element("look", HTMLButtonElement);
const status = element("status", HTMLElement);
const adapter = element("adapter", HTMLOutputElement);
const inputs = Object.keys(FIELDS).map((name) => document.getElementById(name) as HTMLInputElement);

const expected = new ExpectedView();
const hooks = new HooksView(changed);
const text = new TextView((place) => void expect(place));
const worker = new KeptWorker<WriteTasks>({
  start: () => new Worker(new URL("./write-worker.ts", import.meta.url), { type: "module" }),
  onOpen: (name) => {
    adapter.value = name;
  },
  onLoss(loss) {
    adapter.value = "nothing: the device was lost";
    tasks.fail(loss, shown && runLook);
  },
});
const tasks = new PageTasks({
  buttons: [write, look],
  failed: {
    title: "The writing failed",
    advice: "Try again. If it fails the same way, reload the page, or choose another model.",
    retry: true,
  },
  stopped: () => (shown?.text.written.length ? "Stopped. What was written stays." : "Stopped."),
  open: () => worker.open(),
});
const { progress } = tasks;

let models: readonly CatalogueModel[] = [];
let model: CatalogueModel;
let initial: Values = {};
/** What the text on the page consists of, and the model that wrote it; nothing before the first look. */
let shown: { readonly text: Text; readonly model: CatalogueModel } | undefined;
/** Whose worker looked at it, and knows what was expected in it. */
let lookedBy: WorkerClient<WriteTasks> | undefined;
/** What it was asked for by; undefined where what is shown was not looked at. */
let lookedFor: string | undefined;
let underWay: UnderWay | undefined;

async function start(): Promise<void> {
  progress.begin("Finding the models");
  const found = (await fetchCatalogue()).filter(({ task }) => task === "language");
  if (found.length === 0)
    throw new Error("No language model was in demo/public/models when these pages were built.");
  // First what the others are compared with.
  models = found.sort((a, b) => Number(b.name === "lm-softmax") - Number(a.name === "lm-softmax"));
  initial = { ...FIELDS, ...INITIAL_HOOKS, model: models[0]!.name };
  showFromAddress();
  for (const input of inputs)
    input.addEventListener("change", input.id === prompt.id ? changed : keepAddress);
  element("examples", HTMLUListElement).append(...EXAMPLES.map(exampleButton));
  write.disabled = false;
  look.disabled = false;
  window.addEventListener("hashchange", () => {
    showFromAddress();
    changed();
  });
  void tasks.open();
}

function showFromAddress(): void {
  const values = fromHash(location.hash, initial);
  for (const input of inputs) input.value = values[input.id]!;
  model = models.find(({ name }) => name === values.model) ?? models[0]!;
  showModels(models, model, chooseModel);
  hooks.show(values, model.layers);
}

function valuesOf(): Values {
  const fields = Object.fromEntries(inputs.map(({ id, value }) => [id, value]));
  return { ...fields, ...hooks.values, model: model.name };
}

function chooseModel(chosen: CatalogueModel): void {
  const values = hooks.values;
  model = chosen;
  hooks.show(values, model.layers);
  changed();
}

/** Keeps what is shown of the next token up to date, once there is some or will be. */
function changed(): void {
  keepAddress();
  const isOtherModel = underWay !== undefined && underWay.model !== model;
  const call = callOfChange({ stage: underWay?.stage, isOtherModel, isShown: shown !== undefined });
  if (call === "again") void underWay?.again();
  if (call === "look") void runLook();
}

function keepAddress(): void {
  keepInAddress(valuesOf(), initial);
}

function runWrite(): Promise<void> {
  return perform(runWrite, async (client, task, signal) => {
    task.stage = "writing";
    const asked = { prompt: prompt.value, written: [] as number[] };
    const values = valuesOf();
    const maxTokens = Number(values.maxTokens);
    progress.begin("Reading the prompt; the first time, kernels are compiled");
    let first = 0;
    const { finished } = await client.ask(
      "write",
      { prompt: asked.prompt, maxTokens, sampling: samplingOf(values), hooks: hooks.choices },
      {
        signal,
        onReport(report) {
          // Not before: what was shown stays when nothing comes of this.
          if (shown?.text !== asked) beginText({ text: asked, model: task.model });
          if (report.kind === "prompt") {
            const { done, total } = report;
            progress.show(`Reading the prompt: ${done} of ${total} tokens`, done, total);
            return;
          }
          asked.written.push(report.id);
          text.append(report.text);
          first ||= performance.now();
          progress.show(`Writing: ${pace(asked.written.length, first)}`, asked.written.length, maxTokens);
        },
      },
    );
    const written = `Wrote ${pace(asked.written.length, first)}${finished === "stop" ? ", to the end of the text" : ""}.`;
    await lookAt(asked, client, task, signal);
    status.textContent = written;
  });
}

/** What could come next, behind the prompt, or behind what was written if that is still its continuation. */
function runLook(): Promise<void> {
  return perform(runLook, (client, task, signal) => {
    const isSame = shown?.model === task.model && shown.text.prompt === prompt.value;
    return lookAt(isSame ? shown!.text : { prompt: prompt.value, written: [] }, client, task, signal);
  });
}

/** Performs a task's work with its model, and knows of it meanwhile. @param again performs the task anew */
function perform(
  again: () => Promise<void>,
  work: (client: WorkerClient<WriteTasks>, task: UnderWay, signal: AbortSignal) => Promise<void>,
): Promise<void> {
  return tasks.run(async (signal) => {
    const task: UnderWay = { model, again, stage: "loading" };
    underWay = task;
    setOutdated(true);
    try {
      await work(await loadedModel(task.model, signal), task, signal);
      setOutdated(hasChanged());
    } catch (error) {
      // What failed is not what is shown; what was only stopped leaves it as it was.
      setOutdated(!signal.aborted || hasChanged());
      throw error;
    } finally {
      underWay = undefined;
      text.end();
    }
  });
}

function beginText(begun: NonNullable<typeof shown>): void {
  shown = begun;
  lookedFor = undefined;
  expected.hide();
  text.begin(begun.text.prompt);
  setOutdated(false);
}

async function lookAt(
  asked: Text,
  client: WorkerClient<WriteTasks>,
  task: UnderWay,
  signal: AbortSignal,
): Promise<void> {
  task.stage = "looking";
  progress.begin("Computing what could come next");
  const [{ choices }, asks] = [hooks, asking()];
  const found = await client.ask(
    "look",
    { text: asked, hooks: choices },
    {
      signal,
      onReport: ({ done, total }) =>
        progress.show(`Computing what could come next: ${Math.round((100 * done) / total)} %`, done, total),
    },
  );
  shown = { text: asked, model: task.model };
  lookedBy = client;
  lookedFor = asks;
  text.show(found);
  expected.setSeesAhead(seesAhead(choices));
  await showExpected(client, text.place);
}

/** What the user looks into: a look that is under way shows it when it ends. */
async function expect(place: number): Promise<void> {
  try {
    const client = await worker.open();
    if (client === lookedBy) await showExpected(client, place);
    else if (!underWay) await runLook();
  } catch (error) {
    if (!underWay) tasks.fail(error, runLook);
  }
}

async function showExpected(client: WorkerClient<WriteTasks>, place: number): Promise<void> {
  expected.show(await client.ask("expect", { place, top: TOP }));
}

/** Since what is shown was looked at. */
function hasChanged(): boolean {
  return lookedFor !== undefined && lookedFor !== asking();
}

/** What a look depends on, of the form. */
function asking(): string {
  return JSON.stringify([model.name, prompt.value, hooks.choices]);
}

/** What is shown belongs to other choices than those of the form until a look succeeds. */
function setOutdated(outdated: boolean): void {
  text.setOutdated(outdated);
  expected.setOutdated(outdated);
}

async function loadedModel(chosen: CatalogueModel, signal: AbortSignal): Promise<WorkerClient<WriteTasks>> {
  progress.begin("Opening the device");
  const client = await unlessAborted(worker.open(), signal);
  progress.begin("Loading the model");
  await client.ask("load", modelPlace(chosen), {
    signal,
    onReport: ({ done, total }) =>
      progress.show(`Loading the model: ${megabytes(done)} of ${megabytes(total)}`, done, total),
  });
  return client;
}

function pace(tokens: number, since: number): string {
  const count = `${tokens} token${tokens === 1 ? "" : "s"}`;
  const seconds = (performance.now() - since) / 1000;
  return tokens > 1 ? `${count}, ${((tokens - 1) / seconds).toFixed(1)} a second` : count;
}

function exampleButton(example: string): HTMLLIElement {
  const button = create("button", { type: "button" }, example);
  button.addEventListener("click", () => {
    prompt.value = example;
    changed();
  });
  return create("li", {}, button);
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  void runWrite();
});
look.addEventListener("click", () => void runLook());
measureRunBar();
void tasks.prepare(start);
