import { spawn } from "node:child_process";
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

export const PROJECT = fileURLToPath(new URL("../..", import.meta.url));
const USER_PROJECT = fileURLToPath(new URL("./project", import.meta.url));

/** A user's project outside the repository with the packed tarball installed, as npm would leave it. */
export interface InstalledPackage {
  readonly folder: string;
  /** Paths inside the tarball. */
  readonly files: readonly string[];
  /** What can be imported: `"webgpu-attention/softmax"`. */
  readonly entryPoints: readonly string[];
  remove(): void;
}

/** Packs what `npm run build` left and installs it without network. */
export async function installPackage(): Promise<InstalledPackage> {
  const folder = mkdtempSync(join(tmpdir(), "webgpu-attention-package-"));
  const packed = await run(
    "npm",
    ["pack", "--json", "--ignore-scripts", "--pack-destination", folder],
    PROJECT,
  );
  if (packed.code !== 0) throw new Error(`npm pack failed: ${packed.stderr}`);
  const [tarball] = JSON.parse(packed.stdout) as [{ filename: string; files: { path: string }[] }];

  cpSync(USER_PROJECT, folder, { recursive: true });
  writeFileSync(
    join(folder, "package.json"),
    JSON.stringify({ name: "user-project", private: true, type: "module" }),
  );
  const install = ["install", `./${tarball.filename}`, "--offline", "--no-audit", "--no-fund"];
  const installed = await run("npm", install, folder);
  if (installed.code !== 0) throw new Error(`npm install failed: ${installed.stderr}`);

  const { name, exports } = JSON.parse(readFileSync(join(PROJECT, "package.json"), "utf8")) as {
    name: string;
    exports: Record<string, unknown>;
  };
  const paths = Object.keys(exports).filter((path) => !path.endsWith(".json"));
  return {
    folder,
    files: tarball.files.map(({ path }) => path),
    entryPoints: paths.map((path) => name + path.slice(1)),
    remove: () => rmSync(folder, { recursive: true, force: true }),
  };
}

export interface Finished {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a command to its end; a failure is a result, not an exception. */
export function run(
  command: string,
  args: readonly string[],
  cwd: string,
  env: NodeJS.ProcessEnv = {},
): Promise<Finished> {
  return new Promise((resolve, reject) => {
    // npm is a script of its own name on Windows.
    const shell = process.platform === "win32" && command === "npm";
    const child = spawn(command, [...args], {
      cwd,
      shell,
      env: { ...process.env, ...env },
      stdio: ["ignore", "pipe", "pipe"],
    });
    let [stdout, stderr] = ["", ""];
    child.stdout.on("data", (chunk) => {
      stdout += chunk;
    });
    child.stderr.on("data", (chunk) => {
      stderr += chunk;
    });
    child.on("error", reject);
    child.on("close", (code) => resolve({ code, stdout, stderr }));
  });
}
