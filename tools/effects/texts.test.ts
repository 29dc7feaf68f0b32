import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { heldOutText, mobyDick } from "./texts.js";

const { data } = JSON.parse(
  readFileSync(new URL("../../demo/public/models/lm-softmax/training.json", import.meta.url), "utf8"),
);

test.each([
  ["Persuasion", heldOutText, data.held_out.sha256],
  ["Moby-Dick", mobyDick, data.texts.find(({ title }: { title: string }) => title === "Moby-Dick").sha256],
])("%s is the text that the models' training knows by its hash", (_, read, expected) => {
  expect(createHash("sha256").update(read(), "utf8").digest("hex")).toBe(expected);
});
