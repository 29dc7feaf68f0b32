/** The page's search without the page, for `npm start -- --headless`, which imports this into an empty page. */
import { SearchEngine } from "./search-engine.js";

export interface HeadlessProgress {
  readonly phase: "load" | "read";
  readonly done: number;
  readonly total: number;
}

/** @returns scores and positions in `passages`, best first */
export async function searchHeadless(
  passages: readonly string[],
  query: string,
  top: number,
  report: (progress: HeadlessProgress) => void,
): Promise<{ readonly index: number; readonly score: number }[]> {
  const engine = await SearchEngine.open(new URL("/models/use-lite/", location.href).href);
  try {
    const { ranking } = await engine.search(passages, query, {
      top,
      onLoad: (done, total) => report({ phase: "load", done, total }),
      onProgress: (done, total) => report({ phase: "read", done, total }),
    });
    return [...ranking];
  } finally {
    engine.destroy();
  }
}
