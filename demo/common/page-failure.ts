/** Why something failed, as far as a page has something different to say about it. */
export type FailureCode = "no-webgpu" | "no-adapter" | "device-lost" | "aborted" | "other";

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
