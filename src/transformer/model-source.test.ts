import { expect, test } from "vitest";
import { modelReader } from "./model-source.js";

test("a size that is merely claimed allocates nothing", async () => {
  let closed = false;
  const open = async (name: string) => ({
    ...{ name, size: 2 ** 40 },
    async *stream() {},
    close: async () => {
      closed = true;
    },
  });
  const read = await modelReader({ open });
  await expect(read("group1-shard1of1", undefined)).rejects.toMatchObject({ code: "limit" });
  expect(closed).toBe(true);
});
