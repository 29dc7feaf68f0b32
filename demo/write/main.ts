import { type CatalogueModel, fetchCatalogue, modelPlace } from "../common/catalogue.js";
import { create } from "../common/create.js";
import { element } from "../common/elements.js";
import { megabytes } from "../common/format.js";
import { fromHash, keepInAddress, type Values } from "../common/hash-values.js";
import { KeptWorker } from "../common/kept-worker.js";
import { PageTasks } from "../common/page-tasks.js";
import type { WorkerClient } from "../common/worker-client.js";
import { ExpectedView } from "./expected-view.js";
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
    tasks.fail(loss);
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
let isWriting = false;

async function start(signal: AbortSignal): Promise<void> {
  progress.begin("Finding the models");
  const found = (await fetchCatalogue(signal)).filter(({ task }) => task === "language");
  if (found.length === 0)
    throw new Error("No language model was in demo/public/models when these pages were built.");
  // First what the others are compared with.
  models = found.sort((a, b) => Number(b.name === "lm-softmax") - Number(a.name === "lm-softmax"));
  initial = { ...FIELDS, ...INITIAL_HOOKS, model: models[0]!.name };
  showFromAddress();
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
  isWriting = false;
  changed();
}

/** Keeps what is shown of the next token up to date, once there is some; what is being written is left to its end. */
function changed(): void {
  keepAddress();
  if (shown && !isWriting) void runLook();
}

function keepAddress(): void {
  keepInAddress(valuesOf(), initial);
}

async function runWrite(): Promise<void> {
  await tasks.run(async (signal) => {
    const asked = { prompt: prompt.value, written: [] as number[] };
    const client = await loadedModel(signal);
    shown = { text: asked, model };
    isWriting = true;
    expected.hide();
    text.begin(asked.prompt);
    progress.begin("Reading the prompt; the first time, kernels are compiled");
    let first = 0;
    const { finished } = await client.ask(
      "write",
      {
        ...{ prompt: asked.prompt, maxTokens: Number(valuesOf().maxTokens) },
        ...{ sampling: samplingOf(valuesOf()), hooks: hooks.choices },
      },
      {
        signal,
        onReport(report) {
          if (report.kind === "prompt") {
            progress.show(
              `Reading the prompt: ${report.done} of ${report.total} tokens`,
              report.done,
              report.total,
            );
            return;
          }
          progress.hide();
          asked.written.push(report.id);
          text.append(report.text);
          first ||= performance.now();
          status.textContent = pace(asked.written.length, first);
        },
      },
    );
    const written = `Wrote ${pace(asked.written.length, first)}${finished === "stop" ? ", to the end of the text" : ""}.`;
    await lookAt(client, signal);
    status.textContent = written;
  });
  isWriting = false;
}

/** What could come next, behind the prompt, or behind what was written if that is still its continuation. */
function runLook(): Promise<void> {
  return tasks.run(async (signal) => {
    const client = await loadedModel(signal);
    const isSame = shown?.model === model && shown.text.prompt === prompt.value;
    if (!isSame) shown = { model, text: { prompt: prompt.value, written: [] } };
    await lookAt(client, signal);
  });
}

async function lookAt(client: WorkerClient<WriteTasks>, signal: AbortSignal): Promise<void> {
  progress.begin("Computing what could come next");
  text.show(await client.ask("look", { text: shown!.text, hooks: hooks.choices }, { signal }));
}

async function expect(place: number): Promise<void> {
  try {
    const client = await worker.open();
    expected.show(await client.ask("expect", { place, top: TOP }));
  } catch (error) {
    tasks.fail(error);
  }
}

async function loadedModel(signal: AbortSignal): Promise<WorkerClient<WriteTasks>> {
  progress.begin("Opening the device");
  const client = await worker.open();
  progress.begin("Loading the model");
  await client.ask("load", modelPlace(model), {
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

element("examples", HTMLUListElement).append(...EXAMPLES.map(exampleButton));
form.addEventListener("submit", (event) => {
  event.preventDefault();
  void runWrite();
});
for (const input of inputs) input.addEventListener("change", input.id === prompt.id ? changed : keepAddress);
look.addEventListener("click", () => void runLook());
void tasks.run(start);
