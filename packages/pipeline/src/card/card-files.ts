import type { FileDigest } from '@fewbit/checkpoint';

/** The table of a model card from which `readCardFiles` takes the hashes back. */
export function fileTable(files: readonly FileDigest[]): string {
  const rows = files.map(({ name, bytes, sha256 }) => `| ${name} | ${bytes} | ${sha256} |`);
  return ['| file | bytes | sha256 |', '| --- | ---: | --- |', ...rows].join('\n');
}

/** The files that a model card written by Fewbit speaks of, the card itself apart; undefined for a card that has no such table. */
export function readCardFiles(card: string): FileDigest[] | undefined {
  const [, section] = /^## Files\r?\n([\s\S]*?)(?=^#|(?![\s\S]))/m.exec(card) ?? [];
  const rows = [...(section ?? '').matchAll(/^\| (.+) \| (\d+) \| ([0-9a-f]{64}) \|\r?$/gm)];
  return rows.length === 0 ? undefined : rows.map(([, name, bytes, sha256]) => ({ name: name!, bytes: Number(bytes), sha256: sha256! }));
}
