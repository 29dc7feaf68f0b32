import { UsageError } from "./usage-error.js";

/**
 * Runs a command with the process's own arguments. Exit code 0: all is well, 1: it is not, or the command failed, 2: wrong usage, which is told
 * with the help.
 *
 * @param command says whether all is well; "help" where it was asked for
 */
export async function runCommand(
  help: string,
  command: (args: readonly string[]) => Promise<boolean | "help">,
): Promise<void> {
  process.exitCode = await exitCode(help, command, process.argv.slice(2));
}

/** @internal */
export async function exitCode(
  help: string,
  command: (args: readonly string[]) => Promise<boolean | "help">,
  args: readonly string[],
): Promise<number> {
  try {
    const ended = await command(args);
    if (ended === "help") console.log(help);
    return ended ? 0 : 1;
  } catch (error) {
    const isUsage = error instanceof UsageError;
    const message = error instanceof Error ? error.message : String(error);
    console.error(isUsage ? `${message}\n\n${help}` : message);
    return isUsage ? 2 : 1;
  }
}
