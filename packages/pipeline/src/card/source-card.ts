import { basename, resolve } from 'node:path';
import { type ModelDirectory, modelCardFile } from '@fewbit/checkpoint';
import { isMap, parseDocument } from 'yaml';

/** What a model's own card says, and what it is called. */
export interface SourceCard {
  /** The hub's name without its owner, or the directory's. */
  readonly name: string;
  /** `owner/name` of the hub, where the model lies in the hub's cache. */
  readonly hubName?: string;
  /** The YAML between the card's first two lines of `---`; undefined where there is none, or none that can be read. */
  readonly frontMatter?: string;
  /** The rest of the card; all of it where it has no front matter that can be read. */
  readonly body?: string;
  /** Fields of the front matter. */
  readonly fields: Readonly<Record<string, unknown>>;
}

export async function readSourceCard(directory: ModelDirectory): Promise<SourceCard> {
  const path = resolve(directory.path);
  const cached = /[/\\]models--([^/\\]+?)--([^/\\]+)[/\\]snapshots[/\\]/.exec(`${path}/`);
  const hubName = cached ? `${cached[1]}/${cached[2]}` : undefined;
  const text = await directory.text(modelCardFile);
  return {
    name: cached?.[2] ?? basename(path).replace(/\.gguf$/, ''),
    ...(hubName !== undefined && { hubName }),
    fields: {},
    ...(text !== undefined && split(text)),
  };
}

function split(text: string): Partial<SourceCard> {
  const match = /^\uFEFF?---[ \t]*\r?\n([\s\S]*?)(?<=\n)---[ \t]*(?:\r?\n|$)/.exec(text);
  if (!match) return { body: text };
  const [whole, frontMatter = ''] = match;
  const document = parseDocument(frontMatter);
  if (document.errors.length > 0 || (document.contents !== null && !isMap(document.contents))) return { body: text };
  return { frontMatter, body: text.slice(whole.length), fields: (document.toJS() ?? {}) as Record<string, unknown> };
}
