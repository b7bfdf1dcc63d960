import type { FileDigest } from '@fewbit/checkpoint';
import { Document, isSeq, parseDocument } from 'yaml';
import { fileTable } from './card-files.js';
import type { SourceCard } from './source-card.js';
import { isStorageTag } from './tags.js';

export interface ModelCard {
  readonly source: SourceCard;
  /** After the name. */
  readonly title: string;
  /** For the hub, beside the source's own: `compressed-tensors`, `4-bit`. */
  readonly tags: readonly string[];
  /** transformers, or undefined where it does not load the model. */
  readonly library?: string | undefined;
  readonly introduction: string;
  /** Each a heading and what stands under it. */
  readonly sections: readonly (readonly [heading: string, content: string])[];
  readonly files: readonly FileDigest[];
}

/**
 * README.md of a model that was made from another, in the form of the Hugging Face hub. The source's card follows ours whole, its front matter
 * too; of that we take over all fields but those that are no longer true. The same model and recipe give the same bytes.
 */
export function modelCard({ source, title, tags, library, introduction, sections, files }: ModelCard): string {
  const all = [...sections, ['Files', fileTable(files)] as const];
  return [
    `---\n${frontMatter(source, tags, library)}---\n\n# ${source.name}: ${title}\n\n${introduction}\n`,
    ...all.map(([heading, content]) => `\n## ${heading}\n\n${content}\n`),
    sourceText(source),
  ].join('');
}

function frontMatter({ frontMatter: text, hubName }: SourceCard, tags: readonly string[], library: string | undefined): string {
  const document = text === undefined ? new Document({}) : parseDocument(text);
  if (document.contents === null) document.contents = document.createNode({});
  document.delete('model-index'); // results of the model before it was rounded
  document.delete('library_name');
  if (library !== undefined) document.set('library_name', library);
  if (hubName !== undefined) {
    document.set('base_model', hubName);
    document.set('base_model_relation', 'quantized');
  }
  const before = document.get('tags');
  const own = isSeq(before) ? (before.toJSON() as unknown[]) : before === undefined || before === null ? [] : [before];
  document.set('tags', [...new Set([...own.filter((tag) => !isStorageTag(tag)), ...tags])]);
  return document.toString({ lineWidth: 0 });
}

function sourceText({ frontMatter, body, name }: SourceCard): string {
  if (body === undefined) return '';
  const fields = frontMatter === undefined ? '' : `\n${fenced('yaml', frontMatter)}\n`;
  return `\n---\n\n# The card of ${name}, as it was\n${fields}\n${body}`;
}

/** A block of code, in a fence that its content does not close. */
export function fenced(language: string, content: string): string {
  const longest = Math.max(2, ...[...content.matchAll(/`+/g)].map(([run]) => run.length));
  const fence = '`'.repeat(longest + 1);
  return `${fence}${language}\n${content.replace(/\n?$/, '\n')}${fence}`;
}

/** A Markdown table without a head that says anything. */
export function facts(rows: readonly (readonly [string, string])[]): string {
  return [['', ''], ['---', '---'], ...rows].map(([name, value]) => `| ${name} | ${value} |`).join('\n');
}
