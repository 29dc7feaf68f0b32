import type { FailureCode, SearchFailure } from "./worker-messages.js";

/** What the page says about a failure. */
export interface FailureHelp {
  readonly title: string;
  readonly advice: string;
  /** Whether trying again can help without the user changing anything else. */
  readonly retry: boolean;
}

const HELP: Record<Exclude<FailureCode, "aborted">, FailureHelp> = {
  "no-webgpu": {
    title: "This browser has no WebGPU",
    advice:
      "The search runs on your graphics processor through WebGPU. Open this page in Chrome or Edge 121 or newer, Safari 26 or newer, or Firefox 141 or newer on Windows. WebGPU also needs a secure address: https, or http://localhost.",
    retry: false,
  },
  "no-adapter": {
    title: "No graphics adapter for WebGPU",
    advice:
      "The browser has WebGPU but found nothing to run it on. Turn on hardware acceleration in the browser's settings and update the graphics driver. On Linux, Chrome may need chrome://flags/#enable-unsafe-webgpu.",
    retry: true,
  },
  "device-lost": {
    title: "The graphics device was lost",
    advice:
      "The driver was reset, the computer slept, or another program took the memory. Nothing that you typed is lost: try again to open the device anew.",
    retry: true,
  },
  other: {
    title: "The search failed",
    advice: "Try again. If it fails the same way, search fewer passages, or reload the page.",
    retry: true,
  },
};

/** What to tell the user; `undefined` where the user cancelled and knows. */
export function helpFor(failure: Pick<SearchFailure, "code">): FailureHelp | undefined {
  return failure.code === "aborted" ? undefined : HELP[failure.code];
}
