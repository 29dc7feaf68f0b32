/** Scrolls to what has just been shown, where the user would not see its beginning. */
export function bringIntoView(shown: HTMLElement): void {
  const { top } = shown.getBoundingClientRect();
  if (top < 0 || top > 0.7 * innerHeight) shown.scrollIntoView({ block: "start" });
}
