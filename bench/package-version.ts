import { readFileSync } from "node:fs";

/** @param name of an installed package; default this one's own */
export function packageVersion(name?: string): string {
  const folder = name === undefined ? ".." : `../node_modules/${name}`;
  const file = new URL(`${folder}/package.json`, import.meta.url);
  return (JSON.parse(readFileSync(file, "utf8")) as { version: string }).version;
}
