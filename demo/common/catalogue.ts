import type { LayerHeads } from "./heads.js";

/** What pages know of a model before they load it: from its `config.json` and `training.json`, gathered when the pages are built. */
export interface CatalogueModel {
  /** Of its folder in `models/`. */
  readonly name: string;
  readonly task: string;
  /** Names of all files in the folder. */
  readonly files: readonly string[];
  readonly layers: readonly LayerHeads[];
  /** Of the weights' file. */
  readonly bytes: number;
  /** Tokens or patches that it was trained on at a time. */
  readonly context?: number;
  /** Share of the heads that are on for a token: mixture-of-head attention. */
  readonly activeShare?: number;
  readonly classes?: readonly string[];
  /** What the model samples with unless told otherwise. */
  readonly sampler?: { readonly steps: number; readonly guidance: number };
  /** As `training.json` has them; absent where a figure was not taken. */
  readonly parameters?: number;
  readonly trainingSteps?: number;
  /** The model whose weights it began with, and that model's steps are not among its own. */
  readonly continues?: string;
  readonly bitsPerByte?: number;
  readonly accuracy?: number;
  /** Share of its samples that the classifier takes for what they should be. */
  readonly recognised?: number;
}

/** Models that were built in, of any task. @throws Error when the list cannot be read */
export async function fetchCatalogue(): Promise<readonly CatalogueModel[]> {
  const response = await fetch(new URL("../models/catalogue.json", document.baseURI));
  if (!response.ok) throw new Error(`models/catalogue.json: the server answered ${response.status}.`);
  return response.json();
}

/** Where a worker finds a model. */
export interface ModelPlace {
  /** Of its folder, ends with "/". */
  readonly url: string;
  readonly files: readonly string[];
}

export function modelPlace({ name, files }: CatalogueModel): ModelPlace {
  return { url: new URL(`../models/${name}/`, document.baseURI).href, files };
}

/** A fetch that asks for no file that is not there, of which browsers complain in the console. */
export function fetchOf({ files }: ModelPlace): typeof fetch {
  return async (input, init) => {
    const { pathname } = new URL(input instanceof Request ? input.url : input);
    return files.includes(pathname.split("/").at(-1)!)
      ? fetch(input, init)
      : new Response(null, { status: 404 });
  };
}

const MECHANISMS: Readonly<Record<string, string>> = {
  softmax: "Softmax attention",
  moh: "Mixture-of-head attention",
  lightning: "Lightning attention",
  flow: "Flow attention",
  agent: "Agent attention",
  sale: "SALE",
};

/** The mechanism in words: `"Mixture-of-head attention, 50 % of the heads on"`. */
export function mechanismTitle({ layers, activeShare }: CatalogueModel): string {
  const kinds = [...new Set(layers.map(({ mechanism }) => mechanism))];
  const title = kinds.map((kind) => MECHANISMS[kind] ?? kind).join(" and ");
  return activeShare === undefined ? title : `${title}, ${Math.round(100 * activeShare)} % of the heads on`;
}
