import { writeFile } from 'node:fs/promises';
import type { GlobalOptions, Io } from './io.js';

/** Prints a document as JSON and nothing else, or as tables for people; draws it where --plot asks. */
export async function print<D>(
  io: Io,
  { json, plot }: GlobalOptions,
  document: D,
  describe: (document: D) => string,
  draw: (document: D) => Promise<string>,
): Promise<void> {
  if (plot) await writeFile(plot, await draw(document));
  io.stdout(json ? `${JSON.stringify(document, null, 2)}\n` : describe(document));
}
