import { element } from "./elements.js";
import type { FailureHelp } from "./failure-help.js";
import { FailureView } from "./failure-view.js";
import { LatestTask } from "./latest-task.js";
import { PageFailure } from "./page-failure.js";
import { PointerWatch } from "./pointer-watch.js";
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
  readonly #pointer = new PointerWatch();
  #hasFailed = false;
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

  /** Performs what the page can do nothing without, so that it cannot be cancelled. Never rejects: what fails is shown. */
  async prepare(task: () => Promise<void>): Promise<void> {
    this.#begin();
    try {
      await task();
    } catch (error) {
      this.fail(error, () => this.prepare(task));
    } finally {
      this.progress.hide();
    }
  }

  /** Performs a task in place of the one that runs. Never rejects: what fails is shown. */
  async run(task: (signal: AbortSignal) => Promise<void>): Promise<void> {
    this.#begin();
    this.#setBusy(true);
    try {
      await this.#tasks.run(task);
    } catch (error) {
      // Of another task that has taken this one's place, the page says more.
      if (!this.#tasks.isRunning) this.#failTask(error, task);
    } finally {
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

  /** @param again what to try again, unless a task has failed */
  fail(error: unknown, again?: () => Promise<void>): void {
    this.#hasFailed = true;
    this.#unfinished ??= again;
    // The bar with this text is always in sight, unlike the failure.
    this.#status.textContent = this.#failure.show(error) ?? this.#options.stopped();
  }

  #begin(): void {
    this.#hasFailed = false;
    // Without it, all below moves up.
    this.#pointer.whenUp(() => {
      if (!this.#hasFailed) this.#failure.hide();
    });
    this.#status.textContent = "";
    this.#unfinished = undefined;
  }

  #failTask(error: unknown, task: (signal: AbortSignal) => Promise<void>): void {
    if (codeOf(error) !== "aborted") this.#unfinished = () => this.run(task);
    this.fail(error);
  }

  #retry(): Promise<void> {
    const again = this.#unfinished ?? (() => this.open());
    this.#begin();
    return again();
  }

  #setBusy(busy: boolean): void {
    clearTimeout(this.#busy);
    // What is done in a moment should not make buttons flicker.
    if (busy) this.#busy = setTimeout(() => this.#pointer.whenUp(() => this.#showRunning()), MOMENT_MS);
    else this.#showBusy(false);
  }

  #showRunning(): void {
    if (this.#tasks.isRunning) this.#showBusy(true);
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
