import { element } from "./elements.js";
import type { FailureHelp } from "./failure-help.js";
import { FailureView } from "./failure-view.js";
import { LatestTask } from "./latest-task.js";
import { PageFailure } from "./page-failure.js";
import { ProgressView } from "./progress-view.js";

const MOMENT_MS = 150;

interface PageTasksOptions {
  /** Begin tasks; the cancel button takes their place while one runs, the first comes back to the keyboard's focus. */
  readonly buttons: readonly HTMLButtonElement[];
  /** What to say of a failure that is not the device's. */
  readonly failed: FailureHelp;
  /** What to say after a cancel. */
  readonly stopped: () => string;
  /** Opens the device: what is tried again where no task failed. */
  readonly open: () => Promise<unknown>;
}

/** A page's long operations, one at a time: progress, cancel by button and by Escape, failures with what to do, another try. */
export class PageTasks {
  readonly progress = new ProgressView();
  readonly #options: PageTasksOptions;
  readonly #tasks = new LatestTask();
  readonly #failure: FailureView;
  readonly #cancel = element("cancel", HTMLButtonElement);
  readonly #status = element("status", HTMLElement);
  #busy: ReturnType<typeof setTimeout> | undefined;
  /** What to do again after a failure. */
  #unfinished: (() => Promise<void>) | undefined;

  constructor(options: PageTasksOptions) {
    this.#options = options;
    this.#failure = new FailureView(() => void this.#retry(), options.failed);
    this.#cancel.addEventListener("click", () => this.#tasks.cancel());
    document.addEventListener("keydown", ({ key }) => {
      if (key === "Escape") this.#tasks.cancel();
    });
  }

  /** Performs a task in place of the one that runs. Never rejects: what fails is shown. */
  async run(task: (signal: AbortSignal) => Promise<void>): Promise<void> {
    this.#failure.hide();
    this.#setBusy(true);
    try {
      await this.#tasks.run((signal) => {
        this.#status.textContent = "";
        return task(signal);
      });
      this.#unfinished = undefined;
    } catch (error) {
      if (codeOf(error) !== "aborted") this.#unfinished = () => this.run(task);
      this.fail(error);
    } finally {
      // Another task may have taken this one's place.
      if (!this.#tasks.isRunning) {
        this.progress.hide();
        this.#setBusy(false);
      }
    }
  }

  /** Opens the device, and says so where that fails. */
  async open(): Promise<void> {
    try {
      await this.#options.open();
    } catch (error) {
      element("adapter", HTMLOutputElement).value = "nothing";
      for (const button of this.#options.buttons) button.disabled ||= codeOf(error) === "no-webgpu";
      this.fail(error);
    }
  }

  fail(error: unknown): void {
    this.#status.textContent = codeOf(error) === "aborted" ? this.#options.stopped() : "";
    this.#failure.show(error);
  }

  #retry(): Promise<void> {
    this.#failure.hide();
    return (this.#unfinished ?? (() => this.open()))();
  }

  #setBusy(busy: boolean): void {
    clearTimeout(this.#busy);
    // What is done in a moment should not make buttons flicker.
    if (busy) this.#busy = setTimeout(() => this.#showBusy(true), MOMENT_MS);
    else this.#showBusy(false);
  }

  #showBusy(busy: boolean): void {
    const { buttons } = this.#options;
    const focused = document.activeElement;
    for (const button of buttons) button.hidden = busy;
    this.#cancel.hidden = !busy;
    // The one takes the other's place, and its keyboard focus.
    if (busy && buttons.some((button) => button === focused)) this.#cancel.focus();
    if (!busy && focused === this.#cancel) buttons[0]!.focus();
    this.#cancel.form?.setAttribute("aria-busy", String(busy));
  }
}

function codeOf(error: unknown): string {
  return error instanceof PageFailure ? error.code : "other";
}
