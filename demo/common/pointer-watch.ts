/** Knows whether the mouse's main button, a finger or a pen is down: what goes away or moves under it is never clicked. */
export class PointerWatch {
  #isDown = false;
  #waiting: (() => void)[] = [];

  constructor() {
    document.addEventListener("pointerdown", ({ button }) => this.#press(button), true);
    for (const end of ["pointerup", "pointercancel"]) {
      document.addEventListener(end, () => this.#release(), true);
    }
    // Lists that a system draws, and other windows, keep the end to themselves.
    window.addEventListener("blur", () => this.#release());
  }

  /** Changes the page at once, or after the click that is being made. */
  whenUp(change: () => void): void {
    if (this.#isDown) this.#waiting.push(change);
    else change();
  }

  #press(button: number): void {
    this.#isDown = button === 0;
  }

  #release(): void {
    this.#isDown = false;
    // The click comes behind this event.
    setTimeout(() => {
      for (const change of this.#waiting.splice(0)) this.whenUp(change);
    });
  }
}
