import { describe, expect, it } from "vitest";
import { golden } from "../reference/golden-case.js";
import {
  addReceived,
  type ReceivedSinkOptions,
  type ReceivedSums,
  receivedMeans,
  receivedSinks,
  runningSinks,
} from "./received-sinks.js";

const marked = (flags: ArrayLike<number>) => Array.from(flags).flatMap((flag, key) => (flag ? [key] : []));

describe("receivedSinks", () => {
  const author = golden<{ threshold: number; detected: number[][] }>("act_prefill_author");

  it("detects what the authors' code detects, token 0 included when it is not protected", () => {
    for (const [head, detected] of author.params.detected.entries()) {
      const means = author.tensor("expect.received_mean64") as Float64Array;
      const own = means.slice(head * 48, (head + 1) * 48);
      const theta = author.params.threshold;
      expect(receivedSinks(own, { theta, protect: [] })).toEqual(detected);
      expect(receivedSinks(own, { theta })).toEqual(detected.filter((key) => key !== 0));
    }
  });

  const toolkit = golden("act_toolkit");
  it.each([
    ["abs0.1", { theta: 0.1 }],
    ["alpha5_over_n", { alpha: 5 }],
  ] as const)("takes a threshold of its own or in 1 / keys: %s", (name, options) => {
    const means = toolkit.tensor(`expect.${name}.prefill_received_mean64`) as Float64Array;
    const expected = toolkit.tensor(`expect.${name}.prefill_sinks`) as Uint8Array;
    for (let head = 0; head < 3; head++) {
      const own = means.slice(head * 40, (head + 1) * 40);
      expect(receivedSinks(own, options)).toEqual(marked(expected.slice(head * 40, (head + 1) * 40)));
    }
  });

  it("excludes the threshold itself, protected keys and keys that nobody sees", () => {
    expect(receivedSinks([0.9, 0.5, 0.6, Number.NaN, 0.7], { theta: 0.5, protect: [0, 4] })).toEqual([2]);
  });

  it.each([
    ["unsupported", {}],
    ["unsupported", { theta: 0.1, alpha: 5 }],
    ["unsupported", { threshold: 0.1 }],
    ["shape", { theta: -0.1 }],
    ["shape", { alpha: Number.NaN }],
  ])("refuses what does not fit: %s %j", (code, options) => {
    expect(() => receivedSinks([0.5], options as ReceivedSinkOptions)).toThrow(
      expect.objectContaining({ code }),
    );
  });
});

describe("the running form", () => {
  it("carries sums over steps, and leaves the newest key out", () => {
    let received: ReceivedSums = { sums: [], counts: [] };
    received = addReceived(received, [1]);
    received = addReceived(received, [0.25, 0.75]);
    expect([...receivedMeans(received)]).toEqual([0.625, 0.75]);
    expect(runningSinks(received, { theta: 0.1 })).toEqual([]);
    received = addReceived(JSON.parse(JSON.stringify(received)) as ReceivedSums, [0, 0.5, 0.5]);
    expect(runningSinks(received, { theta: 0.1 })).toEqual([1]);
    expect(runningSinks(received, { theta: 0.1, protect: [] })).toEqual([0, 1]);
  });

  it("refuses weights for fewer keys than it knows", () => {
    const shape = expect.objectContaining({ code: "shape" });
    expect(() => addReceived({ sums: [1, 1], counts: [1, 1] }, [1])).toThrow(shape);
    expect(() => addReceived({ sums: [1], counts: [1] }, [Number.NaN])).toThrow(shape);
  });
});
