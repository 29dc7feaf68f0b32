/** An address in its parts: the model's folder with its last separator, the one file that is meant, if any, and a query. */
export interface Address {
  readonly folder: string;
  readonly name: string;
  /** With its question mark; of paths of a file system always empty: there a question mark is a letter as others. */
  readonly query: string;
}

/** How an address is to be read. Windows has two separators. */
export type AddressKind = "url" | "path" | "windows-path";

/** @returns undefined for what names neither a folder nor a file */
export function splitAddress(address: string, kind: AddressKind): Address | undefined {
  const [place, query = ""] =
    kind === "url" ? [address.replace(/[?#].*$/s, ""), /\?[^#]*/.exec(address)?.[0]] : [address];
  const separators = kind === "windows-path" ? /[/\\](?=[^/\\]*$)/ : /\/(?=[^/]*$)/;
  const end = place.search(separators) + 1;
  const [folder, name] = [place.slice(0, end), place.slice(end)];
  return folder === "" && name === "" ? undefined : { folder, name, query };
}

/** In a page or a worker a path without a scheme is relative to it; in Node it can only be one of the file system. */
export function kindOfAddress(address: string): AddressKind {
  // A scheme has two letters or more: a single one is a drive of Windows.
  const hasScheme = /^[a-z][a-z0-9+.-]+:/i.test(address);
  if (hasScheme || globalThis.location !== undefined) return "url";
  const { process } = globalThis as { process?: { readonly platform?: string } };
  return process?.platform === "win32" ? "windows-path" : "path";
}
