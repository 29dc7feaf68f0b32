/** `npm start`: the demo pages, or with `--headless` one search on the command line. Exit codes: 1 failed, 2 wrong usage. */
import { UsageError } from "./command/usage-error.js";
import { type Command, HELP, parseCommand } from "./start/arguments.js";
import { Cleanup, search } from "./start/search.js";
import { serve } from "./start/serve.js";

async function main(): Promise<number> {
  const cleanup = new Cleanup();
  let interrupted = false;
  for (const [signal, code] of [
    ["SIGINT", 130],
    ["SIGTERM", 143],
  ] as const) {
    process.once(signal, () => {
      interrupted = true;
      void cleanup.run().then(() => process.exit(code));
    });
  }
  try {
    await perform(parseCommand(process.argv.slice(2)), cleanup);
    return 0;
  } catch (error) {
    // What fails because everything is being closed is no news.
    if (!interrupted) console.error((error as Error).message);
    return error instanceof UsageError ? 2 : 1;
  } finally {
    await cleanup.run();
  }
}

async function perform(command: Command, cleanup: Cleanup): Promise<void> {
  if (command.kind === "help") console.log(HELP);
  else if (command.kind === "serve") await serve(command);
  else await search(command, cleanup);
}

process.exitCode = await main();
