/** How long a page may compute before it has to look after its user. */
const SLICE_MS = 20;

/** Gives way to the page from time to time: call it often. @throws the signal's reason once it has fired */
export function pauses(signal: AbortSignal): () => Promise<void> {
  let since = performance.now();
  return async () => {
    if (performance.now() - since < SLICE_MS) return;
    await new Promise((resolve) => setTimeout(resolve));
    signal.throwIfAborted();
    since = performance.now();
  };
}
