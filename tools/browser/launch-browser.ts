import { type Browser, chromium } from "playwright";
import { ensureBrowser } from "./install-system.js";
import { adapterKinds, launchFlags } from "./launch-flags.js";

export interface LaunchedBrowser {
  readonly browser: Browser;
  /** The adapter as the browser names it: `"google swiftshader (software)"`. */
  readonly adapter: string;
}

/** Any origin under localhost is a secure context, which WebGPU needs; the request is answered here, by no server. */
const PROBE_URL = "http://localhost/webgpu-probe";

/**
 * Starts a headless Chromium that has a WebGPU adapter: the machine's GPU if it has one, SwiftShader otherwise
 * (`WEBGPU_ADAPTER` decides instead, see {@link adapterKinds}). The caller closes the browser.
 *
 * @param handleSignals whether Playwright itself closes the browser on Ctrl-C and ends the process; default true.
 * @throws Error when there is no browser and none can be installed, or when it offers no adapter.
 */
export async function launchBrowser({ handleSignals = true } = {}): Promise<LaunchedBrowser> {
  const executablePath = ensureBrowser();
  const kinds = adapterKinds();
  for (const kind of kinds) {
    const browser = await chromium.launch({
      executablePath,
      args: launchFlags(kind),
      handleSIGINT: handleSignals,
      handleSIGTERM: handleSignals,
      handleSIGHUP: handleSignals,
    });
    try {
      const adapter = await describeAdapter(browser);
      if (adapter !== undefined) return { browser, adapter };
    } catch (error) {
      await browser.close();
      throw error;
    }
    await browser.close();
  }
  throw new Error(
    `${executablePath} offers no WebGPU adapter (tried ${kinds.join(", ")}). Update the browser to Chromium 121 or newer, or set WEBGPU_ADAPTER=swiftshader to run on the CPU.`,
  );
}

async function describeAdapter(browser: Browser): Promise<string | undefined> {
  const page = await browser.newPage();
  try {
    await page.route(PROBE_URL, (route) => route.fulfill({ contentType: "text/html", body: "" }));
    await page.goto(PROBE_URL);
    return await page.evaluate(async () => {
      const adapter = await navigator.gpu?.requestAdapter();
      if (!adapter) return undefined;
      const { vendor, architecture, description, isFallbackAdapter } = adapter.info;
      const name = description || `${vendor} ${architecture}`.trim() || "unnamed adapter";
      return isFallbackAdapter ? `${name} (software)` : name;
    });
  } finally {
    await page.close();
  }
}
