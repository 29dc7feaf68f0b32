/** The element with this id, checked to be of the expected kind: a page and a script that disagree fail at once. */
export function element<T extends HTMLElement>(id: string, kind: new () => T): T {
  const found = document.getElementById(id);
  if (!(found instanceof kind)) throw new Error(`The page has no ${kind.name} with id "${id}".`);
  return found;
}
