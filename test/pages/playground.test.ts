import type { Page } from "playwright";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { fieldsOf, filledIn } from "../../kernels/_playground/values.js";
import { softmaxCandidates } from "../../kernels/softmax/candidates.js";
import { checkCase } from "../../kernels/softmax/playground/check-values.js";
import { readValues } from "../../kernels/softmax/playground/read-values.js";
import playground from "../../kernels/softmax/playground.js";
import { minimumCapabilities } from "../support/capabilities.js";
import { SnippetProject } from "../support/snippet-project.js";
import { DemoPages, type PageOptions } from "./demo-pages.js";

/** Small enough to compile and run in a second on a CPU driver. */
const TINY = "tokensQ=9&tokensK=12&heads=2&kvHeads=1&headDim=8&valueDim=4";
/** Every option at once. */
const RICH = `tokensQ=10&tokensK=10&batches=2&heads=2&kvHeads=1&headDim=8&valueDim=4&layout=fused&lse=on&causal=on&queryOffset=end&window.left=7&keyStarts=1%2C+0&keyLengths=10%2C+7&keyMask=random&scale=0.7&softcap=3&alibiSlopes=on&sinkLogits=on&bias=on&rope=on&rope.dim=4&rope.interleaved=on`;

let pages: DemoPages;
let snippets: SnippetProject;

beforeAll(async () => {
  snippets = new SnippetProject();
  pages = await DemoPages.open();
});

afterAll(async () => {
  await pages?.close();
  snippets?.remove();
});

interface Options extends PageOptions {
  readonly hash?: string;
}

function onPage(use: (page: Page) => Promise<void>, { hash = "", ...options }: Options = {}): Promise<void> {
  return pages.use(`playground/${hash && `#mechanism=softmax&${hash}`}`, use, options);
}

async function run(page: Page): Promise<void> {
  await page.getByRole("button", { name: "Run", exact: true }).click();
  await page.locator("#verdict").waitFor({ timeout: 120_000 });
}

const verdict = (page: Page) => page.locator("#verdict").textContent();
const code = (page: Page) =>
  page
    .locator("#code")
    .textContent()
    .then((text) => text ?? "");
const ready = (page: Page) =>
  expect.poll(() => page.locator("#adapter").textContent(), { timeout: 60_000 }).not.toBe("…");

/** What a program's outputs are compared with. */
async function outputs(page: Page): Promise<{ first: number[]; norm: number }[]> {
  const texts = await page
    .locator(".outputs .tensor")
    .evaluateAll((found) =>
      found.map((tensor) => [".first", ".norm"].map((part) => tensor.querySelector(part)!.textContent ?? "")),
    );
  return texts.map(([first, norm]) => ({ first: first!.split(/\s+/).map(Number), norm: Number(norm) }));
}

/** How many different colours the heat map shows: a blank one has one. */
function coloursOnMap(page: Page): Promise<number> {
  return page.locator(".weights canvas").evaluate((element) => {
    const canvas = element as HTMLCanvasElement;
    const { data } = canvas.getContext("2d")!.getImageData(0, 0, canvas.width, canvas.height);
    return new Set(new Uint32Array(data.buffer)).size;
  });
}

/** Runs a program in an empty page of the same server, and gives what it logs. */
async function logOf(name: string, program: string): Promise<number[][]> {
  const path = snippets.write(name, program);
  const context = await pages.browser.newContext();
  try {
    const page = await context.newPage();
    await page.route("**/empty.html", (route) => route.fulfill({ contentType: "text/html", body: "" }));
    await page.goto(`${pages.server.url}empty.html`);
    // As text, because Vitest would take the import for one of its own.
    const result = await page.evaluate(`(async () => {
      const logged = [];
      console.log = (values) => void logged.push([...values]);
      await import("/@fs${path}");
      return logged;
    })()`);
    return result as number[][];
  } finally {
    await context.close();
  }
}

describe("playground", () => {
  it("runs what a person types, and shows that it is right", async () => {
    await onPage(async (page) => {
      await page.getByLabel("Query tokens").fill("20");
      await page.getByLabel("Key tokens").fill("40");
      await page.getByLabel("Causal").check();
      await page.getByLabel("Log-sum-exp").check();
      await run(page);
      expect(await verdict(page)).toBe("PASS");
      const evidence = await page.locator(".evidence").textContent();
      expect(evidence).toMatch(/out largest error \d\.?\d*e-\d+ of 1e-5 allowed/);
      expect(evidence).toMatch(/lse largest error .* of 1e-5 allowed/);
      expect(evidence).toContain("all 80 rows");
      const figures = await page.locator(".figures").textContent();
      expect(figures).toMatch(/\d (ms|µs)/);
      expect(figures).toMatch(/(GPU timestamps|wall clock), median of \d+/);
      expect(figures).toMatch(/\d (k|M|G|T)?FLOP\/s/);
      expect(figures).toMatch(/1 segment$/);
      expect(await page.getByRole("rowheader", { name: /^softmax\// }).count()).toBe(1);
      expect(await page.locator(".passes .constants").textContent()).toMatch(/HEAD_DIM 64/);
      expect(await page.locator(".weights canvas").isVisible()).toBe(true);
      await page.locator(".weights canvas").focus();
      await page.keyboard.press("ArrowDown");
      expect(await page.locator(".reading").textContent()).toMatch(/^query 1, key 0: 0\.\d+$/);
    });
  });

  it("says what is wrong with a combination, in the library's words, at the field", async () => {
    await onPage(
      async (page) => {
        await ready(page);
        await page.getByLabel("Key heads").fill("3");
        await page.getByLabel("Key heads").press("Tab");
        await page.getByRole("alert").filter({ hasText: "q.shape[2] (heads)" }).waitFor();
        expect(await page.locator("#complaint-expected").textContent()).toBe("a multiple of the 3 key heads");
        expect(await page.locator("#complaint-got").textContent()).toBe("2");
        expect(await page.locator("#complaint-fix").textContent()).toMatch(/\w/);
        expect(await page.locator("#complaint-code").textContent()).toBe("shape");
        expect(await page.getByLabel("Query heads").getAttribute("aria-invalid")).toBe("true");
        await page.getByRole("button", { name: "Run", exact: true }).click();
        await expect.poll(() => page.locator("#status").textContent()).toMatch(/^Not possible/);
        expect(await page.locator("#verdict").count()).toBe(0);

        await page.getByLabel("Key heads").fill("1");
        await run(page);
        expect(await verdict(page)).toBe("PASS");
        expect(await page.locator("#complaint").isVisible()).toBe(false);
      },
      { hash: TINY },
    );
  });

  it("runs another variant, and names it in the link", async () => {
    await onPage(
      async (page) => {
        await ready(page);
        const variant = page.getByLabel("Variant");
        const names = await variant
          .locator("option")
          .evaluateAll((all) => all.map((option) => (option as HTMLOptionElement).value));
        expect(names.length).toBeGreaterThan(2);
        const other = names.find((name) => name.startsWith("tiled"))!;
        await variant.selectOption(other);
        await run(page);
        expect(await verdict(page)).toBe("PASS");
        expect(await page.locator(".passes tbody th").textContent()).toBe("softmax/tiled");
        expect(await code(page)).toContain("planSoftmaxAttention");
        expect(decodeURIComponent(page.url().replaceAll("+", " "))).toContain(`variant=${other}`);
      },
      { hash: TINY },
    );
  });

  it("measures on the device when asked to, and says what won", async () => {
    await onPage(
      async (page) => {
        await ready(page);
        await page.getByLabel("Variant").selectOption("measured");
        await run(page);
        expect(await verdict(page)).toBe("PASS");
        expect(await page.locator(".evidence").textContent()).toMatch(
          /the fastest of \d+ measured on this device/,
        );
        expect(await code(page)).toContain('{ tuning: "measure" }');
        // What was measured must not be taken for the table's choice.
        await page.getByLabel("Variant").selectOption("table");
        await run(page);
        expect(await page.locator(".evidence").textContent()).toMatch(/chosen by the table/);
      },
      { hash: TINY },
    );
  });

  it("fails what was not computed, and does not time it", async () => {
    await onPage(
      async (page) => {
        await run(page);
        expect(await verdict(page)).toBe("FAIL");
        expect(await page.locator(".evidence").textContent()).toContain("not a number");
        expect(await page.locator(".figures").count()).toBe(0);
        expect(await page.locator("#result").textContent()).toContain("Not timed");
      },
      { hash: TINY, script: "GPUComputePassEncoder.prototype.dispatchWorkgroups = () => {};" },
    );
  });

  it("decodes", async () => {
    await onPage(async (page) => {
      await page.getByRole("button", { name: /^Llama decode/ }).click();
      expect(await page.getByLabel("Query heads").inputValue()).toBe("32");
      await run(page);
      expect(await verdict(page)).toBe("PASS");
      expect(await page.locator(".passes tbody th").allTextContents()).toContain("softmax/merge");
      expect(await page.locator(".evidence").textContent()).toContain("all 32 rows");
    });
  });

  it("takes a test case from the list", async () => {
    await onPage(async (page) => {
      await page.getByLabel("Test cases").selectOption({ label: "causal window 16" });
      expect(await page.getByLabel("Window left").inputValue()).toBe("15");
      expect(page.url()).toContain("window.left=15");
    });
  });

  it("reproduces a link, copies it and the code", async () => {
    await onPage(
      async (page) => {
        await run(page);
        const before = { code: await code(page), outputs: await outputs(page) };
        await page.getByRole("button", { name: "Copy code" }).click();
        await page.getByRole("button", { name: "Copied" }).waitFor();
        expect(await page.evaluate(() => navigator.clipboard.readText())).toBe(before.code);
        await page.getByRole("button", { name: "Copy link" }).click();
        const link = await page.evaluate(() => navigator.clipboard.readText());
        expect(link).toBe(page.url());

        await page.goto("about:blank");
        await page.goto(link);
        await run(page);
        expect({ code: await code(page), outputs: await outputs(page) }).toEqual(before);
      },
      { hash: RICH, permissions: ["clipboard-read", "clipboard-write"] },
    );
  });

  it("is used with the keyboard alone, and Escape cancels", async () => {
    await onPage(
      async (page) => {
        await ready(page);
        await page.getByLabel("Query tokens").focus();
        await page.keyboard.press("ControlOrMeta+A");
        await page.keyboard.type("11");
        await page.keyboard.press("Tab");
        expect(await page.evaluate(() => document.activeElement?.id)).toBe("field-tokensK");
        await page.keyboard.press("Enter");
        await page.locator("#verdict").waitFor({ timeout: 60_000 });
        expect(page.url()).toContain("tokensQ=11");

        // Long enough to be caught at it.
        await page.getByLabel("Query tokens").fill("6000");
        await page.getByLabel("Key tokens").fill("6000");
        await page.getByLabel("Key tokens").press("Enter");
        await page
          .locator("#progress-label")
          .filter({ hasText: /^(Running|Comparing|Timing)/ })
          .waitFor({ timeout: 60_000 });
        await page.keyboard.press("Escape");
        await page.locator("#status").filter({ hasText: "Cancelled." }).waitFor({ timeout: 10_000 });
        expect(await page.getByRole("button", { name: "Run", exact: true }).isVisible()).toBe(true);
        expect(await page.locator("#failure").isVisible()).toBe(false);
      },
      { hash: TINY },
    );
  });

  it("shows what attends to what", async () => {
    const update = process.env.UPDATE_SCREENSHOTS === "1";
    await onPage(
      async (page) => {
        await page.getByRole("button", { name: /^Sliding window/ }).click();
        await run(page);
        expect(await verdict(page)).toBe("PASS");
        expect(await coloursOnMap(page)).toBeGreaterThan(20);
        if (!update) return;
        await page.evaluate(() => scrollTo(0, 0));
        await page.screenshot({ path: "docs/images/playground.png" });
      },
      { viewport: { width: 1240, height: 1270 }, ...(update && { deviceScaleFactor: 2 }) },
    );
  });

  it("fits on a phone, in the dark", async () => {
    await onPage(
      async (page) => {
        await run(page);
        expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBe(390);
        const word = await page.locator("#verdict").boundingBox();
        expect(word!.y).toBeGreaterThan(0);
        expect(word!.y).toBeLessThan(844);
      },
      { hash: RICH, viewport: { width: 390, height: 844 }, colorScheme: "dark" },
    );
  });

  it("says what to do where the browser has no WebGPU, and still shows the code", async () => {
    await onPage(
      async (page) => {
        await page.getByRole("alert").filter({ hasText: "This browser has no WebGPU" }).waitFor();
        expect(await page.getByRole("button", { name: "Run", exact: true }).isDisabled()).toBe(true);
        expect(await code(page)).toContain("softmaxAttention");
      },
      { script: "delete Navigator.prototype.gpu;" },
    );
  });

  it("opens the device anew after it was lost", async () => {
    await onPage(
      async (page) => {
        await ready(page);
        const session = await pages.browser.newBrowserCDPSession();
        await session.send("Browser.crashGpuProcess");
        await page.getByRole("alert").filter({ hasText: "The graphics device was lost" }).waitFor();
        await page.getByRole("button", { name: "Try again" }).click();
        await run(page);
        expect(await verdict(page)).toBe("PASS");
        expect(await page.locator("#failure").isVisible()).toBe(false);
      },
      { hash: TINY, expected: /external Instance reference/ },
    );
  });
});

describe("the program that the page shows", () => {
  it.each([
    ["one call", RICH, undefined],
    ["a plan with a configuration", `${TINY}&dtype=f16&kvDtype=f16&bias=on&lse=on`, "tiled"],
    [
      "a decode step",
      "tokensQ=1&tokensK=90&heads=4&kvHeads=2&headDim=8&valueDim=8&kvDtype=f16&keyLengths=70",
      undefined,
    ],
  ])("computes the page's numbers: %s", async (name, hash, kernel) => {
    await onPage(
      async (page) => {
        await ready(page);
        if (kernel) {
          const variant = page.getByLabel("Variant");
          const option = variant.locator("option").filter({ hasText: new RegExp(`^${kernel}`) });
          await variant.selectOption((await option.first().textContent())!);
        }
        await run(page);
        const shown = await outputs(page);
        const logged = await logOf(name.replaceAll(" ", "-"), await code(page));
        expect(shown).toHaveLength(logged.length);
        for (const [index, { first, norm }] of shown.entries()) {
          const values = logged[index]!;
          expect(values.slice(0, 4).map((value) => Number(value.toPrecision(7)))).toEqual(first);
          const finite = values.filter(Number.isFinite);
          expect(Math.hypot(...finite)).toBeCloseTo(norm, 4);
        }
      },
      { hash },
    );
  });

  it("passes the strictest type check, for every preset by one call and by a candidate", () => {
    const fields = fieldsOf(playground);
    const capabilities = { ...minimumCapabilities(), f16: true, subgroups: true };
    const presets = playground.presets.flatMap((group) => group.presets);
    presets.forEach(({ values: given }, index) => {
      const values = filledIn(fields, given);
      const candidates = softmaxCandidates(checkCase(readValues(values), capabilities), capabilities);
      const configuration = candidates[index % candidates.length];
      snippets.write(`preset-${index}`, playground.snippet(values, { name: "table", label: "" }));
      snippets.write(
        `preset-${index}-planned`,
        playground.snippet(values, { name: "", label: "", configuration }),
      );
    });
    snippets.write("measured", playground.snippet(filledIn(fields, {}), { name: "measured", label: "" }));
    expect(snippets.typeErrors()).toEqual([]);
    // A check that finds nothing wrong with anything would be none.
    snippets.write(
      "wrong",
      playground
        .snippet(filledIn(fields, { scale: "wide" }), { name: "", label: "" })
        .replace("ctx, q", "q, ctx"),
    );
    expect(snippets.typeErrors()).toHaveLength(1);
  });
});
