import { existsSync } from "node:fs";
import { delimiter, join } from "node:path";
import { chromium } from "playwright";

const MAC_APPLICATIONS = [
  "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
  "/Applications/Chromium.app/Contents/MacOS/Chromium",
  "/Applications/Microsoft Edge.app/Contents/MacOS/Microsoft Edge",
];

const WINDOWS_PROGRAMS = [
  "Google\\Chrome\\Application\\chrome.exe",
  "Chromium\\Application\\chrome.exe",
  "Microsoft\\Edge\\Application\\msedge.exe",
];

const LINUX_COMMANDS = [
  "chromium",
  "chromium-browser",
  "google-chrome",
  "google-chrome-stable",
  "microsoft-edge",
  "microsoft-edge-stable",
];

/**
 * The Chromium, Chrome or Edge to drive, or `undefined` when there is none. Order: `CHROME_PATH`, Playwright's own, the system's.
 *
 * @throws Error when `CHROME_PATH` names a file that does not exist: the user asked for that browser, so no other will do.
 */
export function findBrowser(): string | undefined {
  const asked = process.env.CHROME_PATH;
  if (asked) {
    if (!existsSync(asked)) {
      throw new Error(
        `CHROME_PATH is "${asked}", and there is no such file. Correct it, or unset it to search.`,
      );
    }
    return asked;
  }
  return [playwrightBrowser(), ...systemBrowsers()].find((path) => path !== undefined && existsSync(path));
}

/** Where Playwright would have put its own browser; it throws on systems that it has no browser for. */
function playwrightBrowser(): string | undefined {
  try {
    return chromium.executablePath();
  } catch {
    return undefined;
  }
}

function systemBrowsers(): string[] {
  if (process.platform === "darwin") return MAC_APPLICATIONS;
  if (process.platform === "win32") {
    const roots = [process.env.ProgramFiles, process.env["ProgramFiles(x86)"], process.env.LOCALAPPDATA];
    return roots
      .filter((root) => root !== undefined)
      .flatMap((root) => WINDOWS_PROGRAMS.map((program) => join(root, program)));
  }
  const folders = (process.env.PATH ?? "").split(delimiter).filter(Boolean);
  return LINUX_COMMANDS.flatMap((command) => folders.map((folder) => join(folder, command)));
}
