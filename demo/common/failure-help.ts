import type { FailureCode } from "./page-failure.js";

/** What a page says about a failure. */
export interface FailureHelp {
  readonly title: string;
  readonly advice: string;
  /** Whether trying again can help without the user changing anything else. */
  readonly retry: boolean;
}

/** The same on every page. */
const HELP: Record<Exclude<FailureCode, "aborted" | "other">, FailureHelp> = {
  "no-webgpu": {
    title: "This browser has no WebGPU",
    advice:
      "This page runs on your graphics processor through WebGPU. Open it in Chrome or Edge 121 or newer, Safari 26 or newer, or Firefox 141 or newer on Windows. WebGPU also needs a secure address: https, or http://localhost.",
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
  refused: {
    title: "This is not possible",
    advice:
      "What was chosen does not fit together; below stands what is expected instead. Change it and try again.",
    retry: false,
  },
};

/**
 * What to tell the user; `undefined` where the user cancelled and knows.
 *
 * @param other what the page says about everything else
 */
export function helpFor(code: FailureCode, other: FailureHelp): FailureHelp | undefined {
  if (code === "aborted") return undefined;
  return code === "other" ? other : HELP[code];
}
