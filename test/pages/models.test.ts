/** Pages that run models: in one file, so that a server compiles the kernels once for both. */
import { fileURLToPath } from "node:url";
import type { Page } from "playwright";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { CatalogueModel } from "../../demo/common/catalogue.js";
import { readCatalogue } from "../../demo/model-catalogue.js";
import { DemoPages, waitForStatus } from "./demo-pages.js";

const NATIVE = fileURLToPath(new URL("../fixtures/native/", import.meta.url));

/** The first test of all waits for the server to compile every kernel, on cores that may be busy. */
const FIRST_MS = 600_000;

let pages: DemoPages;
let fixtures: readonly CatalogueModel[];

beforeAll(async () => {
  fixtures = await readCatalogue(NATIVE);
  pages = await DemoPages.open();
});

afterAll(() => pages?.close());

/** What the page finds built in: fixtures under the names that it looks for. */
function serve(models: Readonly<Record<string, string>>): (page: Page) => Promise<void> {
  return async (page) => {
    const entries = Object.entries(models).map(([name, fixture]) => ({
      ...fixtures.find((entry) => entry.name === fixture)!,
      name,
    }));
    await page.route("**/models/catalogue.json", (route) => route.fulfill({ json: entries }));
    for (const [name, fixture] of Object.entries(models)) {
      await page.route(`**/models/${name}/*`, (route) => {
        const file = new URL(route.request().url()).pathname.split("/").at(-1)!;
        return route.fulfill({ path: `${NATIVE}${fixture}/${file}` });
      });
    }
  };
}

/** Waits until kernels are compiled, the first time by the server, and the device is open. */
async function opened(page: Page): Promise<void> {
  await expect.poll(() => textOf(page, "#adapter"), { timeout: FIRST_MS }).not.toMatch(/^(…|nothing.*)$/);
}

/** Waits until what is shown is what was asked for. */
async function looked(page: Page): Promise<void> {
  await page.locator("#expected:not(.outdated)").waitFor({ timeout: 240_000 });
  await page.locator("#progress").waitFor({ state: "hidden" });
}

/** How many different pixels the first image has: a blank one has one. */
function coloursOf(page: Page): Promise<number> {
  return page
    .locator("#samples canvas")
    .first()
    .evaluate((element) => {
      const canvas = element as HTMLCanvasElement;
      const { data } = canvas.getContext("2d")!.getImageData(0, 0, canvas.width, canvas.height);
      return new Set(new Uint32Array(data.buffer)).size;
    });
}

function textOf(page: Page, selector: string): Promise<string | null> {
  return page.locator(selector).textContent();
}

describe("writing page", () => {
  it("writes, shows what could come next, and what hooks change in it", async () => {
    const onPage = async (page: Page) => {
      await opened(page);
      await page.getByLabel("Prompt").fill("It was a fine morning, and");
      await page.getByLabel("Temperature").fill("0");
      await page.getByLabel("Tokens to write").fill("4");
      await page.getByRole("button", { name: "Write", exact: true }).click();
      await waitForStatus(page, /^Wrote 4 tokens, [\d.]+ a second\.$/);
      expect(await textOf(page, "#text")).toMatch(/^.*It was a fine morning, and .*\w/);
      expect(await textOf(page, "#expected-note")).toMatch(/No hook is on/);

      // What was written greedily is what was expected most.
      const prompt = await page.locator("#text .prompt").count();
      await page.locator("#text .token").nth(prompt).click();
      await expect.poll(() => page.locator("#candidates .is-next").count()).toBe(1);
      expect(await page.locator("#candidates tr").first().getAttribute("class")).toBe("is-next");
      expect(await page.getByRole("slider").inputValue()).toBe(String(prompt));

      await page.getByRole("checkbox", { name: "Mask heads" }).check();
      await expect.poll(() => textOf(page, "#expected-note"), { timeout: 120_000 }).toMatch(/by \d.* bits/);
      expect(await page.locator("#candidates .bar.hooked").count()).toBeGreaterThanOrEqual(8);
      // The place that is looked at stays.
      expect(await page.getByRole("slider").inputValue()).toBe(String(prompt));

      const cell = (layer: number, head: number) =>
        page
          .getByRole("group", { name: "Mask heads" })
          .getByLabel(`layer ${layer}, head ${head}`, { exact: true });
      await page.getByRole("button", { name: "None" }).filter({ visible: true }).click();
      await expect.poll(() => textOf(page, "#expected-note"), { timeout: 120_000 }).toMatch(/No hook is on/);
      await cell(0, 0).focus();
      for (const key of ["ArrowDown", "ArrowDown", "ArrowRight", " "]) await page.keyboard.press(key);
      expect(await cell(2, 1).getAttribute("aria-pressed")).toBe("true");
      await expect.poll(() => textOf(page, "#expected-note"), { timeout: 120_000 }).toMatch(/by \d.* bits/);
      expect(page.url()).toMatch(/#.*mask=on&mask\.heads=2\.1/);
      for (const key of ["ArrowLeft", "ArrowLeft"]) await page.keyboard.press(key);
      expect(await page.evaluate(() => document.activeElement?.ariaLabel)).toBe("All heads of layer 2");
    };
    await pages.use("write/", onPage);
  }, 900_000);

  it("stops, refuses what cannot be with the reason, and brings back the device that was lost", async () => {
    const onPage = async (page: Page) => {
      await page.getByRole("button", { name: "What comes next?" }).click();
      await looked(page);
      expect(await page.locator("#ahead-note").isVisible()).toBe(true);
      await page.evaluate(() => scrollTo(0, document.body.scrollHeight));
      await page.getByRole("button", { name: "Write", exact: true }).click();
      await page.getByRole("alert").filter({ hasText: "This is not possible" }).waitFor({ timeout: 240_000 });
      expect(await textOf(page, "#failure-detail")).toMatch(/topP: expected .*, got 3/);
      expect(await textOf(page, "#status")).toBe("This is not possible");
      expect(
        await page.locator("#failure").evaluate((box) => box.getBoundingClientRect().top),
      ).toBeGreaterThan(-1);
      // What was looked at before stays, and does not pass for what was asked.
      expect(await textOf(page, "#text.outdated")).toMatch(/The white whale/);
      expect(await page.locator("#expected.outdated").isVisible()).toBe(true);

      await page.getByLabel("Top p").fill("1");
      await page.getByRole("textbox", { name: "Prompt" }).fill("The black whale");
      // The look at the new prompt that begins under the mouse takes no button away.
      await page.getByRole("button", { name: "Write", exact: true }).hover();
      await page.mouse.down();
      await page.waitForTimeout(600);
      await page.mouse.up();
      await page
        .locator("#progress-label")
        .filter({ hasText: /^Writing: \d+ tokens, [\d.]+ a second$/ })
        .waitFor({ timeout: 240_000 });
      await page.keyboard.press("Escape");
      await waitForStatus(page, /^Stopped\. What was written stays\.$/);
      expect((await textOf(page, "#text"))!.length).toBeGreaterThan("The black whale".length);
      expect(await textOf(page, "#place-label")).toMatch(/^Not looked at yet/);

      const session = await pages.browser.newBrowserCDPSession();
      await session.send("Browser.crashGpuProcess");
      await page.getByRole("alert").filter({ hasText: "The graphics device was lost" }).waitFor();
      await page.getByRole("button", { name: "Try again" }).click();
      await opened(page);
      expect(await page.locator("#failure").isVisible()).toBe(false);
      await looked(page);
      expect(await textOf(page, "#text")).toMatch(/The black whale./);
    };
    // Calibration finds sinks in the prompt, and anew with each token.
    await pages.use("write/#prompt=The+white+whale&topP=3&maxTokens=400&calibrate=on", onPage);
  }, 600_000);

  it("offers no hooks where a model's heads have no pattern, and fits on a phone in the dark", async () => {
    let answer = () => {};
    const asked = new Promise<void>((resolve) => {
      answer = resolve;
    });
    const onPage = async (page: Page) => {
      // Without the list of models the page is of no use, so that this is not cancelled.
      await page.locator("#progress-label").filter({ hasText: "Finding the models" }).waitFor();
      await page.keyboard.press("Escape");
      answer();
      await page.getByText("Lightning attention").waitFor();
      expect(await page.locator("#hooks-note").isVisible()).toBe(true);
      expect(await page.getByRole("checkbox", { name: "Mask heads" }).isDisabled()).toBe(true);

      // The weights of the first never come: another model that is chosen meanwhile does not wait for them.
      await page.getByRole("button", { name: "What comes next?" }).click();
      await page
        .locator("#progress-label")
        .filter({ hasText: "Loading the model" })
        .waitFor({ timeout: FIRST_MS });
      const requested = page.waitForRequest("**/models/b/model.safetensors");
      await page.getByText("Mixture-of-head attention").click();
      await requested;
      expect(await page.locator("#hooks-note").isVisible()).toBe(false);
      await page.getByRole("alert").filter({ hasText: "without a tokenizer" }).waitFor({ timeout: 240_000 });
      await page.getByRole("checkbox", { name: "Calibrate attention sinks" }).check();
      await page
        .getByRole("group", { name: "Calibrate attention sinks" })
        .getByLabel("layer 1, head 0", { exact: true })
        .click();
      expect(page.url()).toMatch(/model=b&|&model=b/);
      // Heads that were chosen stay where the model before had none.
      expect(page.url()).toMatch(/gain\.heads=0\.1/);
      expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBe(390);

      await page.evaluate(() => scrollTo(0, document.body.scrollHeight));
      const controls = await page.locator(".controls").boundingBox();
      const bar = await page.locator("#run-bar").boundingBox();
      expect(controls!.y + controls!.height).toBeLessThanOrEqual(bar!.y);
    };
    const before = async (page: Page) => {
      await serve({ a: "lm-lightning", b: "lm-moh" })(page);
      await page.route("**/models/a/model.safetensors", () => {});
      await page.route("**/models/catalogue.json", async (route) => {
        await asked;
        await route.fallback();
      });
    };
    await pages.use("write/#gain=on&gain.heads=0.1", onPage, {
      ...{ before, viewport: { width: 390, height: 844 }, colorScheme: "dark" },
    });
  }, 600_000);

  it("says what to do where the browser has no WebGPU", async () => {
    const onPage = async (page: Page) => {
      await page.getByRole("alert").filter({ hasText: "This browser has no WebGPU" }).waitFor();
      expect(await page.getByRole("button", { name: "Write", exact: true }).isDisabled()).toBe(true);
    };
    await pages.use("write/", onPage, { script: "delete Navigator.prototype.gpu;" });
  });
});

describe("diffusion page", () => {
  it("says so where no model is built in", async () => {
    const onPage = async (page: Page) => {
      await page.getByText("The model is not built in").waitFor();
      expect(await page.getByRole("button", { name: "Make images" }).isDisabled()).toBe(true);
      expect(await page.getByLabel("Seed").isDisabled()).toBe(true);
    };
    await pages.use("diffusion/", onPage, { before: serve({}) });
  });

  it("makes images, has them judged, and makes them anew by both guidances", async () => {
    const pixels = (page: Page) =>
      page
        .locator("#samples canvas")
        .evaluateAll((canvases) => canvases.map((canvas) => (canvas as HTMLCanvasElement).toDataURL()));
    const slide = (page: Page, label: RegExp, value: string) => page.getByLabel(label).fill(value);
    const changedFrom = async (page: Page, before: readonly string[]) => {
      await expect.poll(() => pixels(page), { timeout: 120_000 }).not.toEqual(before);
      return pixels(page);
    };
    const onPage = async (page: Page) => {
      await opened(page);
      await page.getByRole("button", { name: "Make images" }).click();
      // What changes while the first are made is not lost.
      await page
        .locator("#progress-label")
        .filter({ hasText: /^Sampling/ })
        .waitFor({ timeout: FIRST_MS });
      await page.getByLabel("Number").fill("3");
      await page.getByLabel("Number").blur();
      await waitForStatus(page, /^Made 3 images in [\d.]+ s\. \d of 3 recognised as what was asked for\./);
      expect(await page.locator(".verdict").allTextContents()).toEqual(
        Array(3).fill(expect.stringMatching(/^[\w -]+ \d+\s%( asked: (trousers|pullover|t-shirt))?$/)),
      );
      const plain = await pixels(page);
      expect(new Set(plain).size).toBe(3);
      expect(await coloursOf(page)).toBeGreaterThan(10);

      await slide(page, /Guidance weight g/, "4");
      const guided = await changedFrom(page, plain);
      await slide(page, /Guidance weight w/, "3");
      const perturbed = await changedFrom(page, guided);
      await slide(page, /Strength of the perturbation u/, "1");
      await changedFrom(page, perturbed);
      expect(new URL(page.url()).hash).toMatch(/guidance=4&u=1&w=3|guidance=4.*w=3/);

      // Without a class there is nothing to guide to; images are made all the same.
      await page.getByLabel("Class").selectOption("none: unconditional");
      await waitForStatus(page, /^Made 3 images in [\d.]+ s\. The classifier is \d+ % sure on average\.$/);
      expect(await page.getByLabel(/Guidance weight g/).isDisabled()).toBe(true);

      await slide(page, /Steps/, "100");
      await page
        .locator("#progress-label")
        .filter({ hasText: /^Sampling: step/ })
        .waitFor();
      await page.keyboard.press("Escape");
      await waitForStatus(page, /^Cancelled\.$/);

      await page.setViewportSize({ width: 390, height: 844 });
      expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBe(390);
    };
    await pages.use("diffusion/#count=2&steps=2&guidance=1&w=0", onPage, {
      before: serve({ dit: "dit", "image-softmax": "image-flow" }),
    });
  }, 900_000);
});
