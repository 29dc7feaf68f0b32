import { element } from "./elements.js";

/** Tells the style sheet how high the bar is, which grows with what it says: it lies over the page, and should cover nothing. */
export function measureRunBar(): void {
  const bar = element("run-bar", HTMLElement);
  const measure = () => document.documentElement.style.setProperty("--run-bar", `${bar.offsetHeight}px`);
  new ResizeObserver(measure).observe(bar);
}
