import type { AttentionError } from "webgpu-attention";
import { element } from "../common/elements.js";

/** A wrong combination in the library's own words: what was expected, what came, what to do. */
export function showComplaint({ code, details }: AttentionError): void {
  const texts = {
    subject: details.subject,
    expected: details.expected,
    got: details.got,
    fix: details.fix,
    code,
  };
  for (const [part, text] of Object.entries(texts)) {
    element(`complaint-${part}`, HTMLElement).textContent = text;
  }
  element("complaint", HTMLElement).hidden = false;
}

export function hideComplaint(): void {
  element("complaint", HTMLElement).hidden = true;
}
