import { type CatalogueModel, fetchCatalogue, modelPlace } from "../common/catalogue.js";
import { create } from "../common/create.js";
import { element } from "../common/elements.js";
import { megabytes, parameterCount } from "../common/format.js";
import { fromHash, keepInAddress, type Values } from "../common/hash-values.js";
import { HeadGrid } from "../common/head-grid.js";
import { changeableHeads, type HeadPlace, headsValue, readHeads } from "../common/heads.js";
import { KeptWorker } from "../common/kept-worker.js";
import { PageTasks } from "../common/page-tasks.js";
import { measureRunBar } from "../common/run-bar.js";
import { unlessAborted } from "../common/unless-aborted.js";
import type { WorkerClient } from "../common/worker-client.js";
import { INITIAL, labelsOf, NONE, summaryOf } from "./choices.js";
import type { DiffusionTasks, SampleRequest } from "./diffusion-tasks.js";
import { SamplesView } from "./samples-view.js";

/** The judge that the model's own training report counts by. */
const CLASSIFIER = "image-softmax";

const form = element("sampling", HTMLFormElement);
const button = element("sample", HTMLButtonElement);
const status = element("status", HTMLElement);
const adapter = element("adapter", HTMLOutputElement);
const label = element("label", HTMLSelectElement);
const inputs = ["label", "count", "seed", "steps", "guidance", "u", "w"].map(
  (id) => document.getElementById(id) as HTMLInputElement | HTMLSelectElement,
);

const grid = new HeadGrid("Perturbed heads", changed);
const worker = new KeptWorker<DiffusionTasks>({
  start: () => new Worker(new URL("./diffusion-worker.ts", import.meta.url), { type: "module" }),
  onOpen: (name) => {
    adapter.value = name;
  },
  onLoss(loss) {
    adapter.value = "nothing: the device was lost";
    tasks.fail(loss);
  },
});
const tasks = new PageTasks({
  buttons: [button],
  failed: {
    title: "The sampling failed",
    advice: "Try again, or ask for fewer images. If it fails the same way, reload the page.",
    retry: true,
  },
  stopped: () => "Cancelled.",
  open: () => worker.open(),
});
const { progress } = tasks;

let model: CatalogueModel;
let classifier: CatalogueModel | undefined;
let samples: SamplesView;
let initial: Values = {};
/** Whether there are images, which changes make anew. */
let hasSamples = false;
/** Whether some are being made, of what the form said when the models were loaded. */
let isSampling = false;

async function start(): Promise<void> {
  progress.begin("Finding the models");
  const found = await fetchCatalogue();
  const diffusion = found.find(({ task }) => task === "diffusion");
  if (!diffusion) {
    element("absent", HTMLElement).hidden = false;
    element("settings", HTMLFieldSetElement).disabled = true;
    adapter.value = "nothing yet";
    return;
  }
  model = diffusion;
  classifier = found.find(({ name }) => name === CLASSIFIER);
  const classes = model.classes ?? [];
  samples = new SamplesView(classes);
  label.append(...classes.map((name, index) => create("option", { value: String(index) }, name)));
  element("heads", HTMLElement).replaceChildren(grid.element);
  element("model-note", HTMLElement).textContent = figures(model);
  const { steps, guidance } = model.sampler ?? { steps: 50, guidance: 1 };
  initial = { ...INITIAL, steps: String(steps), guidance: String(guidance) };
  showFromAddress();
  for (const input of inputs) input.addEventListener("change", changed);
  button.disabled = false;
  window.addEventListener("hashchange", () => {
    showFromAddress();
    changed();
  });
  void tasks.open();
}

function showFromAddress(): void {
  const values = fromHash(location.hash, initial);
  for (const input of inputs) input.value = values[input.id]!;
  // A link may ask for a class that the model does not have.
  if (label.selectedIndex < 0) label.value = initial.label!;
  grid.show(model.layers, values.heads ? readHeads(values.heads, model.layers) : initialHeads());
  showNumbers();
}

/** The middle layer's, where published choices mostly lie. */
function initialHeads(): HeadPlace[] {
  const middle = Math.floor(model.layers.length / 2);
  return changeableHeads(model.layers).filter(({ layer }) => layer === middle);
}

function valuesOf(): Values {
  return {
    ...Object.fromEntries(inputs.map(({ id, value }) => [id, value])),
    heads: headsValue(grid.heads, initialHeads()),
  };
}

/** Numbers of the sliders, and which of them have no say. */
function showNumbers(): void {
  for (const output of document.querySelectorAll<HTMLOutputElement>(".slider output")) {
    output.value = element(output.htmlFor.value, HTMLInputElement).value;
  }
  const isUnconditional = label.value === NONE;
  element("guidance", HTMLInputElement).disabled = isUnconditional;
  element("guidance-note", HTMLElement).hidden = !isUnconditional;
}

/** Keeps the address up to date, and the images, once there are some or will be. */
function changed(): void {
  showNumbers();
  keepInAddress(valuesOf(), initial);
  if (hasSamples || isSampling) void run();
}

function run(): Promise<void> {
  return tasks.run(async (signal) => {
    if (hasSamples) samples.setOutdated(true);
    progress.begin("Opening the device");
    const client = await unlessAborted(worker.open(), signal);
    progress.begin("Loading the models");
    const asked = { sampler: modelPlace(model), classifier: classifier && modelPlace(classifier) };
    await client.ask("load", asked, {
      signal,
      onReport({ model: which, done, total }) {
        const name = which === "sampler" ? "model" : "classifier";
        progress.show(`Loading the ${name}: ${megabytes(done)} of ${megabytes(total)}`, done, total);
      },
    });
    isSampling = true;
    try {
      await sample(client, signal);
    } finally {
      isSampling = false;
    }
  });
}

async function sample(client: WorkerClient<DiffusionTasks>, signal: AbortSignal): Promise<void> {
  const request = requestOf();
  progress.begin("Sampling; the first time, kernels are compiled");
  const started = performance.now();
  const made = await client.ask("sample", request, {
    signal,
    onReport: ({ done, total }) => progress.show(`Sampling: step ${done} of ${total}`, done, total),
  });
  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  samples.show(made, request.labels);
  hasSamples = true;
  element("samples-note", HTMLElement).textContent = made.verdicts
    ? "Under each image, what the classifier takes it for. Every change makes them anew, from the same noise."
    : "No classifier of images of this size is built in, so that there are no verdicts.";
  const count = `${request.labels.length} image${request.labels.length === 1 ? "" : "s"}`;
  const summary = made.verdicts ? ` ${summaryOf(request.labels, made.verdicts)}` : "";
  status.textContent = `Made ${count} in ${seconds} s.${summary}`;
}

function requestOf(): SampleRequest {
  const { label: choice, ...texts } = valuesOf();
  const number = (name: string) => (texts[name]?.trim() ? Number(texts[name]) : Number.NaN);
  // No number gives no image, which the library refuses with words of its own.
  const count = Math.min(40, Math.max(0, Math.floor(number("count")))) || 0;
  return {
    labels: labelsOf(choice!, count, model.classes?.length ?? 1),
    ...{ seed: number("seed") || 0, steps: number("steps"), guidance: number("guidance") },
    perturbation: { heads: grid.heads, u: number("u"), w: number("w") },
  };
}

function figures({ name, parameters, bytes, recognised }: CatalogueModel): string {
  const parts = [
    name,
    parameters !== undefined && parameterCount(parameters),
    megabytes(bytes),
    recognised !== undefined && `${(100 * recognised).toFixed(1)} % of its samples recognised`,
  ];
  return parts.filter(Boolean).join(" · ");
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  void run();
});
form.addEventListener("input", showNumbers);
measureRunBar();
void tasks.prepare(start);
