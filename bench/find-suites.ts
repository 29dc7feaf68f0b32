import { readdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import type { Suite } from "./suite.js";

const FOLDER = fileURLToPath(new URL("suites", import.meta.url));

/** Every file in `suites/`, by its name. */
export async function findSuites(): Promise<Record<string, Suite>> {
  const names = readdirSync(FOLDER)
    .filter((file) => file.endsWith(".ts"))
    .map((file) => file.slice(0, -".ts".length))
    .sort();
  const suites: Record<string, Suite> = {};
  for (const name of names) {
    suites[name] = ((await import(`./suites/${name}.ts`)) as { default: Suite }).default;
  }
  return suites;
}
