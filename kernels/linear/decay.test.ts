import { describe, expect, it } from "vitest";
import { goldenFiles } from "../../test/support/golden.js";
import { alibiSlopes, linearSlopes } from "./decay.js";

const [file] = goldenFiles("lightning").filter(({ file: name }) => name.includes("slopes"));
const table = (name: string) => {
  const { data, shape } = file!.tensors.get(name)!;
  return { values: Array.from(data as Float32Array), columns: shape.at(-1)! };
};

describe("decay rates", () => {
  it.each([1, 2, 3, 4, 5, 6, 8, 12, 16, 20, 24, 32, 40, 64])(
    "are the authors' slopes for %i heads",
    (heads) => {
      const { values } = table(`slopes_h${heads}`);
      alibiSlopes(heads).forEach((rate, head) => {
        expect(rate / values[head]!).toBeCloseTo(1, 6);
      });
    },
  );

  it.each([
    [8, 24],
    [20, 12],
  ])("are the authors' for each layer: %i heads, %i layers", (heads, count) => {
    const { values, columns } = table(`tnl_h${heads}_L${count}`);
    for (let index = 0; index < count; index++)
      alibiSlopes(heads, { index, count }).forEach((rate, head) => {
        // The authors' factor of the last layer is rounded to f32 after a difference of ones.
        expect(Math.abs(rate - values[index * columns + head]!)).toBeLessThan(1e-7);
      });
  });

  it("have no layer factor but 1 + 1e-5 in a model of one layer", () => {
    expect(alibiSlopes(2, { index: 0, count: 1 })[0]! / alibiSlopes(2)[0]!).toBeCloseTo(1 + 1e-5, 12);
  });

  it("are linear in the head by the other convention", () => {
    const { values, columns } = table("fla_loggamma_h8_L24");
    for (let index = 0; index < 24; index++)
      linearSlopes(8, { index, count: 24 }).forEach((rate, head) => {
        expect(rate).toBeCloseTo(-values[index * columns + head]!, 5);
      });
  });

  it.each([
    ["no head", () => alibiSlopes(0)],
    ["half a head", () => linearSlopes(1.5, { index: 0, count: 1 })],
    ["a layer past the last", () => alibiSlopes(2, { index: 3, count: 3 })],
    ["layers that count from 1", () => linearSlopes(2, { index: 2, count: 2 })],
  ])("are refused for %s", (_name, ask) => {
    expect(ask).toThrowError(expect.objectContaining({ code: "shape" }));
  });
});
