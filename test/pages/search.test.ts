import type { Page } from "playwright";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { DemoPages, type PageOptions, waitForStatus } from "./demo-pages.js";

/** Three topics, one paragraph each, long enough to be passages of their own. */
const TOPICS = {
  cooking:
    "The cook chopped onions and garlic, fried them slowly in butter, and added tomatoes, basil and salt. The sauce simmered on the stove for an hour. Then he boiled fresh pasta, grated some cheese over the plates, and called everybody to the table for dinner.",
  space:
    "The astronauts looked out of the window of their spacecraft. Below them the planet turned slowly in the dark. The rocket had carried them into orbit in nine minutes, and soon the engines would fire again and take the crew on to the moon, three days away from home.",
  music:
    "The orchestra tuned its instruments while the audience took their seats. Then the conductor raised his baton, and the violins began the symphony very softly. The pianist waited for her entrance, and when she played the hall fell silent and listened to every note.",
};
const PASTED = Object.values(TOPICS).join("\n\n");

let pages: DemoPages;

beforeAll(async () => {
  pages = await DemoPages.open();
});

afterAll(() => pages?.close());

function onPage(use: (page: Page) => Promise<void>, options: PageOptions = {}): Promise<void> {
  return pages.use("search/", use, options);
}

async function paste(page: Page, text: string): Promise<void> {
  await page.getByLabel("Your own text").check();
  await page.getByLabel("Text to search").fill(text);
}

async function ask(page: Page, query: string): Promise<void> {
  await page.getByLabel("What are you looking for?").fill(query);
  await page.getByRole("button", { name: "Search" }).click();
}

function scoresOf(page: Page): Promise<number[]> {
  return page
    .locator(".result .value")
    .evaluateAll((found) => found.map(({ textContent }) => Number(textContent)));
}

describe("search page", () => {
  it("ranks pasted text by the query, and draws the map", async () => {
    await onPage(async (page) => {
      await paste(page, PASTED);
      await ask(page, "astronauts fly a rocket to the moon");
      await waitForStatus(page, /^Searched 3 passages: read 4 new sentences in .* ms per sentence\.$/);
      expect(await page.locator("#adapter").textContent()).toMatch(/\w/);
      expect(await page.locator(".result .text").first().textContent()).toBe(TOPICS.space);
      const scores = await scoresOf(page);
      expect(scores).toHaveLength(3);
      expect(scores).toEqual([...scores].sort((a, b) => b - a));

      expect(await coloursOnMap(page)).toBeGreaterThan(5);
      await page.locator("#map").focus();
      await page.keyboard.press("ArrowRight");
      expect(await page.locator("#map-cell").textContent()).toBe(
        `The query and passage 1: ${scores[0]!.toFixed(3)}`,
      );
      expect(await page.locator(".result.pointed").count()).toBe(1);

      await ask(page, "a recipe with pasta and tomatoes");
      await waitForStatus(page, /read 1 new sentence in/);
      expect(await page.locator(".result .text").first().textContent()).toBe(TOPICS.cooking);
    });
  });

  it("searches a file", async () => {
    await onPage(async (page) => {
      await page.getByLabel("A file").check();
      await page
        .locator("#file")
        .setInputFiles({ name: "topics.txt", mimeType: "text/plain", buffer: Buffer.from(PASTED) });
      await ask(page, "the pianist and the violins of the orchestra");
      await waitForStatus(page, /^Searched 3 passages/);
      expect(await page.locator(".result .text").first().textContent()).toBe(TOPICS.music);
    });
  });

  it("says what is missing, at the field that misses it", async () => {
    await onPage(async (page) => {
      const complaint = page.locator("#complaint");
      await ask(page, "   ");
      await expect.poll(() => complaint.textContent()).toMatch(/what you are looking for/);
      expect(await focusedId(page)).toBe("query");

      await paste(page, " \n ");
      await ask(page, "anything");
      await expect.poll(() => complaint.textContent()).toMatch(/no text/);
      expect(await focusedId(page)).toBe("paste");

      await page.getByLabel("A file").check();
      await ask(page, "anything");
      await expect.poll(() => complaint.textContent()).toMatch(/Choose a text file/);
      const binary = { name: "a.bin", mimeType: "text/plain", buffer: Buffer.from([65, 0, 66]) };
      await page.locator("#file").setInputFiles(binary);
      await ask(page, "anything");
      await expect.poll(() => complaint.textContent()).toMatch(/no plain text/);
      expect(await page.locator("#found").isVisible()).toBe(false);
    });
  });

  it("stops when cancelled, and searches again", async () => {
    await onPage(async (page) => {
      await page.getByLabel("Passages to read").selectOption("1000");
      await ask(page, "the white whale");
      await page.locator("#progress-label").filter({ hasText: "Reading" }).waitFor({ timeout: 240_000 });
      await page.getByRole("button", { name: "Cancel" }).click();
      await waitForStatus(page, /^Cancelled/);
      expect(await page.locator("#failure").isVisible()).toBe(false);

      await paste(page, PASTED);
      await ask(page, "dinner");
      await waitForStatus(page, /^Searched 3 passages/);
    });
  });

  it("shows the shipped book", async () => {
    const update = process.env.UPDATE_SCREENSHOTS === "1";
    await onPage(async (page) => {
      await page.getByLabel("Passages to read").selectOption(update ? "300" : "100");
      await page.getByRole("button", { name: "a man goes to sea because he is melancholy" }).click();
      await waitForStatus(page, /^Searched \d+ passages/);
      expect(await page.locator(".result").count()).toBe(8);
      if (update) await page.screenshot({ path: "docs/images/search.png" });
    });
  });

  it("fits on a phone, in the dark", async () => {
    await onPage(
      async (page) => {
        await paste(
          page,
          `CHAPTER 1. ${"A heading too long for one line of a phone. ".repeat(3)}\n\n${PASTED}`,
        );
        await ask(page, "dinner");
        await waitForStatus(page, /^Searched \d passages/);
        expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBe(390);
      },
      { viewport: { width: 390, height: 844 }, colorScheme: "dark" },
    );
  });

  it("says what to do where the browser has no WebGPU", async () => {
    await onPage(
      async (page) => {
        await page.getByRole("alert").filter({ hasText: "This browser has no WebGPU" }).waitFor();
        expect(await page.locator("#failure-advice").textContent()).toMatch(/Chrome or Edge/);
        expect(await page.getByRole("button", { name: "Search" }).isDisabled()).toBe(true);
        expect(await page.getByRole("button", { name: "Try again" }).isVisible()).toBe(false);
      },
      { script: "delete Navigator.prototype.gpu;" },
    );
  });

  it("opens the device anew after it was lost", async () => {
    await onPage(async (page) => {
      // On a busy machine the page's kernels take seconds to be linked.
      await expect.poll(() => page.locator("#adapter").textContent(), { timeout: 30_000 }).not.toBe("…");
      const session = await pages.browser.newBrowserCDPSession();
      await session.send("Browser.crashGpuProcess");
      await page.getByRole("alert").filter({ hasText: "The graphics device was lost" }).waitFor();
      await page.getByRole("button", { name: "Try again" }).click();
      await paste(page, PASTED);
      await ask(page, "astronauts fly a rocket to the moon");
      await waitForStatus(page, /^Searched 3 passages/);
      expect(await page.locator("#failure").isVisible()).toBe(false);
    });
  });
});

/** How many different colours the canvas shows: a blank one has one. */
function coloursOnMap(page: Page): Promise<number> {
  return page.locator("#map").evaluate((canvas) => {
    const { width, height } = canvas as HTMLCanvasElement;
    const pixels = (canvas as HTMLCanvasElement).getContext("2d")!.getImageData(0, 0, width, height).data;
    return new Set(new Uint32Array(pixels.buffer)).size;
  });
}

function focusedId(page: Page): Promise<string | undefined> {
  return page.evaluate(() => document.activeElement?.id);
}
