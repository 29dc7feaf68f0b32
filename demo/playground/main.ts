import { AttentionError } from "webgpu-attention";
import { fieldsOf } from "../../kernels/_playground/values.js";
import { bringIntoView } from "../common/bring-into-view.js";
import { create } from "../common/create.js";
import { element } from "../common/elements.js";
import { FailureView } from "../common/failure-view.js";
import { PageFailure } from "../common/page-failure.js";
import { ProgressView } from "../common/progress-view.js";
import { measureRunBar } from "../common/run-bar.js";
import { CodeView } from "./code-view.js";
import { hideComplaint, showComplaint } from "./complaint-view.js";
import { type OpenedSession, openSession } from "./device-session.js";
import { fromHash, toHash } from "./link-state.js";
import { MECHANISMS } from "./mechanisms.js";
import { ProblemForm } from "./problem-form.js";
import { hideResult, showResult } from "./result-view.js";
import { runProblem } from "./run-problem.js";

const formElement = element("problem", HTMLFormElement);
const run = element("run", HTMLButtonElement);
const cancel = element("cancel", HTMLButtonElement);
const status = element("status", HTMLElement);
const adapter = element("adapter", HTMLOutputElement);

const progress = new ProgressView();
const code = new CodeView(() => location.href);
const failure = new FailureView(() => void retry(), {
  title: "The run failed",
  advice: "Try again, or take a smaller problem. If it fails the same way, reload the page.",
  retry: true,
});

let form: ProblemForm | undefined;
let session: OpenedSession | undefined;
let opening: Promise<OpenedSession> | undefined;
let running: AbortController | undefined;

function open(): Promise<OpenedSession> {
  opening ??= start().catch((error) => {
    opening = undefined;
    throw error;
  });
  return opening;
}

async function start(): Promise<OpenedSession> {
  const opened = await openSession();
  session = opened;
  adapter.value = opened.adapterName;
  void opened.lost.then((loss) => {
    session = undefined;
    opening = undefined;
    adapter.value = "nothing: the device was lost";
    running?.abort(loss);
    failure.show(loss);
  });
  return opened;
}

/** Shows a mechanism with the values that the address asks for. */
async function showFromAddress(): Promise<void> {
  const asked = fromHash(location.hash);
  const name = MECHANISMS.has(asked.mechanism) ? asked.mechanism : [...MECHANISMS.keys()][0]!;
  if (form?.name !== name) {
    form = new ProblemForm(name, await MECHANISMS.get(name)!(), changed);
    showMechanisms(name);
  }
  form.set(asked.values, asked.variant);
  refresh();
}

/** After the user changed something: what was shown belongs to other values. */
function changed(): void {
  stop();
  hideResult();
  status.textContent = "";
  refresh();
}

function refresh(): void {
  if (form === undefined) return;
  const wrong = form.refresh(session?.ctx);
  if (wrong) complain(wrong);
  else hideComplaint();
  const { values, variant, variantName, mechanism, name } = form;
  code.show(mechanism.snippet(values, variant));
  const hash = toHash({ mechanism: name, variant: variantName, values }, fieldsOf(mechanism));
  // Replaced, not pushed: going back should leave the page, not undo a digit.
  if (hash !== location.hash) history.replaceState(null, "", hash);
}

async function runForm(): Promise<void> {
  if (running !== undefined || form === undefined) return;
  const controller = new AbortController();
  running = controller;
  failure.hide();
  hideComplaint();
  hideResult();
  setBusy(true);
  try {
    status.textContent = "";
    progress.begin("Opening the device");
    const { ctx } = await open();
    const wrong = form.refresh(ctx);
    if (wrong) throw wrong;
    const report = await runProblem(ctx, form.mechanism, form, {
      signal: controller.signal,
      onPhase(phase, done, total) {
        if (done === undefined || total === undefined) progress.begin(phase);
        else progress.show(phase, done, total);
      },
    });
    showResult(report);
    status.textContent = report.passed ? "Passed." : "Failed.";
    bringIntoView(element("result", HTMLElement));
  } catch (error) {
    explain(controller.signal.aborted ? controller.signal.reason : error);
  } finally {
    running = undefined;
    progress.hide();
    setBusy(false);
  }
}

function explain(error: unknown): void {
  status.textContent = "";
  if (error instanceof PageFailure && error.code === "aborted") {
    status.textContent = "Cancelled.";
  } else if (error instanceof AttentionError && error.code !== "device-lost") {
    form?.markInvalid(error);
    complain(error);
    bringIntoView(element("complaint", HTMLElement));
  } else if (error instanceof AttentionError) {
    failure.show(new PageFailure("device-lost", error.message));
  } else {
    failure.show(error);
  }
}

function complain(error: AttentionError): void {
  showComplaint(error);
  // The bar with this text is always in sight, unlike the complaint.
  status.textContent = `Not possible: ${error.details.subject}`;
}

async function retry(): Promise<void> {
  failure.hide();
  await open().then(refresh, explainOpening);
}

function explainOpening(error: unknown): void {
  adapter.value = "nothing";
  run.disabled = error instanceof PageFailure && error.code === "no-webgpu";
  failure.show(error);
}

function setBusy(busy: boolean): void {
  const focused = document.activeElement;
  run.hidden = busy;
  cancel.hidden = !busy;
  // The one takes the other's place, and its keyboard focus.
  if (focused === run) cancel.focus();
  if (focused === cancel) run.focus();
  formElement.setAttribute("aria-busy", String(busy));
}

/** One radio button for each mechanism found. */
function showMechanisms(chosen: string): void {
  const choices = [...MECHANISMS.keys()].map((name) => {
    const radio = create("input", {
      type: "radio",
      name: "mechanism",
      value: name,
      checked: name === chosen,
    });
    radio.addEventListener("change", () => {
      history.replaceState(null, "", toHash({ mechanism: name, variant: "", values: {} }, []));
      void showFromAddress().then(changed);
    });
    return create("label", {}, radio, name);
  });
  element("mechanisms", HTMLElement).replaceChildren(...choices);
}

function stop(): void {
  running?.abort(new PageFailure("aborted", "Cancelled."));
}

formElement.addEventListener("submit", (event) => {
  event.preventDefault();
  void runForm();
});
// Values that are still being typed are read but not judged.
formElement.addEventListener("change", changed);
cancel.addEventListener("click", stop);
document.addEventListener("keydown", ({ key }) => {
  if (key === "Escape") stop();
});
window.addEventListener("hashchange", () => {
  changed();
  void showFromAddress();
});
measureRunBar();
await showFromAddress();
run.disabled = false;
void open().then(refresh, explainOpening);
