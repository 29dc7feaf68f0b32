/**
 * Why something failed, as far as a page has something different to say about it. `refused`: the library would not do what was asked,
 * and the message says what it wants instead.
 */
export type FailureCode = "no-webgpu" | "no-adapter" | "device-lost" | "aborted" | "refused" | "other";

/** An error with the reason that the page tells the user. */
export class PageFailure extends Error {
  override readonly name = "PageFailure";

  constructor(
    readonly code: FailureCode,
    message: string,
  ) {
    super(message);
  }
}
