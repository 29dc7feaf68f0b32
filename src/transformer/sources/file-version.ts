/** What a server says of a file's version. */
export interface FileVersion {
  readonly tag?: string;
  /** Last-Modified, in the server's own words. Pages of other origins see it, unlike the tag. */
  readonly modified?: string;
}

export function versionOf({ headers }: Response): FileVersion {
  const [tag, modified] = [headers.get("etag"), headers.get("last-modified")];
  return { ...(tag && { tag }), ...(modified && { modified }) };
}

/**
 * Whether two responses are certainly of two versions. Strong tags decide alone; of weak ones, which may stay while bytes change, the
 * date has to agree as well. What only one of the two says is no difference: servers behind one address may say more or less.
 */
export function areApart(a: FileVersion, b: FileVersion): boolean {
  const bothTagged = a.tag !== undefined && b.tag !== undefined;
  if (bothTagged && opaque(a.tag!) !== opaque(b.tag!)) return true;
  if (bothTagged && isStrong(a.tag!) && isStrong(b.tag!)) return false;
  return a.modified !== undefined && b.modified !== undefined && a.modified !== b.modified;
}

/**
 * One text for a version, to find it again another day: a strong tag, or else weak tag and date. Undefined where the server says
 * neither: then nothing tells two files of one size apart.
 */
export function nameOfVersion({ tag, modified }: FileVersion): string | undefined {
  if (tag !== undefined && isStrong(tag)) return tag;
  const parts = [tag, modified].filter((part) => part !== undefined);
  return parts.length > 0 ? parts.join(" of ") : undefined;
}

function isStrong(tag: string): boolean {
  return !tag.startsWith("W/");
}

function opaque(tag: string): string {
  return tag.replace(/^W\//, "");
}
