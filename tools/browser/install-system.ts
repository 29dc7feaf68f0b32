/**
 * The one list of what this project wants from the operating system, and the one place that installs it.
 * Run it by itself (`tsx tools/browser/install-system.ts`) to prepare a machine; tests and tools come through `ensureBrowser`.
 */
import { spawnSync } from "node:child_process";
import { existsSync, readdirSync } from "node:fs";
import { pathToFileURL } from "node:url";
import { findBrowser } from "./find-browser.js";

interface SystemPackage {
  readonly debianName: string;
  readonly why: string;
  readonly present: () => boolean;
}

const SYSTEM_PACKAGES: readonly SystemPackage[] = [
  {
    debianName: "chromium",
    why: "the browser that the pages are tested in; brings SwiftShader, a WebGPU driver for machines without GPU",
    present: () => findBrowser() !== undefined,
  },
  {
    debianName: "mesa-vulkan-drivers",
    why: "llvmpipe, a second CPU driver, which Deno's WebGPU runs on",
    present: () => process.platform !== "linux" || hasLlvmpipe(),
  },
];

/**
 * Path of a Chromium, Chrome or Edge; installs one where that needs no question (root on Debian or Ubuntu).
 *
 * @throws Error that says what to install on this platform.
 */
export function ensureBrowser(): string {
  const found = findBrowser();
  if (found !== undefined) return found;
  installMissing();
  const installed = findBrowser();
  if (installed === undefined) throw new Error(howToInstall());
  return installed;
}

/** Installs what is missing from {@link SYSTEM_PACKAGES}. All output goes to stderr: callers own stdout. */
export function installMissing(): void {
  const missing = SYSTEM_PACKAGES.filter((wanted) => !wanted.present());
  if (missing.length === 0) return;
  if (!canInstall()) throw new Error(howToInstall());
  for (const { debianName, why } of missing) console.error(`Installing ${debianName}: ${why}.`);
  aptGet("update");
  aptGet("install", "--yes", "--no-install-recommends", ...missing.map(({ debianName }) => debianName));
}

function canInstall(): boolean {
  return (
    process.platform === "linux" &&
    process.getuid?.() === 0 &&
    spawnSync("apt-get", ["--version"]).status === 0
  );
}

function aptGet(...args: string[]): void {
  console.error(`$ apt-get ${args.join(" ")}`);
  const { status, error } = spawnSync("apt-get", ["-o", "DPkg::Lock::Timeout=120", ...args], {
    stdio: ["ignore", process.stderr, process.stderr],
    env: { ...process.env, DEBIAN_FRONTEND: "noninteractive" },
  });
  if (status !== 0) {
    throw new Error(
      `apt-get ${args[0]} failed (${error?.message ?? `exit code ${status}`}). ${howToInstall()}`,
    );
  }
}

function howToInstall(): string {
  const missing = SYSTEM_PACKAGES.filter((wanted) => !wanted.present());
  const names = missing.map(({ debianName }) => debianName).join(" ");
  const byPlatform: Partial<Record<NodeJS.Platform, string>> = {
    linux: `On Debian run "sudo apt-get install ${names}"; on Ubuntu, whose chromium is a snap, install Google Chrome from a .deb or run "npx playwright install --with-deps chromium"; elsewhere install the distribution's chromium.`,
    darwin:
      'Install Google Chrome, or run "brew install --cask google-chrome" or "npx playwright install chromium".',
    win32: 'Install Google Chrome or Microsoft Edge, or run "npx playwright install chromium".',
  };
  const advice = byPlatform[process.platform] ?? "Install Chromium or Google Chrome.";
  return `Not found: ${names}. ${advice} A browser in another place is found through CHROME_PATH.`;
}

function hasLlvmpipe(): boolean {
  const folder = "/usr/share/vulkan/icd.d";
  return existsSync(folder) && readdirSync(folder).some((file) => file.startsWith("lvp_icd"));
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  try {
    installMissing();
    console.error(`Browser: ${ensureBrowser()}`);
  } catch (error) {
    console.error((error as Error).message);
    process.exitCode = 1;
  }
}
