import { existsSync, readdirSync, readFileSync } from "node:fs";
import fc from "fast-check";
import { expect, test } from "vitest";
import native from "../../../test/fixtures/native-checkpoints.json" with { type: "json" };
import { AttentionError } from "../../dispatch/errors.js";
import { architectureOf } from "./architectures.js";
import { Fields } from "./fields.js";

const FIXTURES = new URL("../../../test/fixtures/architectures/", import.meta.url);
const published = readdirSync(FIXTURES)
  .map((name) => [name, new URL(`${name}/config.json`, FIXTURES)] as const)
  .filter(([, file]) => existsSync(file))
  .map(([name, file]) => [name, JSON.parse(readFileSync(file, "utf8"))] as const);
const configs: [string, Record<string, unknown>][] = [
  ...published.map(([name, config]): [string, Record<string, unknown>] => [name, config]),
  ...Object.entries(native).map(([name, { config }]): [string, Record<string, unknown>] => [name, config]),
];

/** What somebody may write in place of a number, a word, a list or an object. */
const anything = fc.oneof(
  fc.jsonValue({ maxDepth: 3 }),
  fc.constantFrom(0, -1, 0.5, 1e9, 2 ** 53, 1e308, "NaN", "__proto__", [], {}, [[]], [null], { 0: "a" }),
);

test.each(configs)("%s: changed fields are taken or refused, with a typed error", (_name, config) => {
  const change = fc.tuple(fc.constantFrom(...Object.keys(config)), anything);
  fc.assert(
    fc.property(fc.array(change, { minLength: 1, maxLength: 3 }), (changes) => {
      try {
        const fields = new Fields("config.json", { ...config, ...Object.fromEntries(changes) });
        const architecture = architectureOf(fields);
        const { tensors } = architecture.tensors(architecture.config(fields), new Set());
        for (const { shape } of tensors)
          expect(shape.every((size) => Number.isSafeInteger(size) && size >= 1)).toBe(true);
      } catch (error) {
        if (!(error instanceof AttentionError)) throw error;
      }
    }),
    { numRuns: 100 },
  );
});
