import { readFileSync } from 'node:fs';
import ts from 'typescript';

/** What a source file imports, statically or dynamically, as written. */
export function importedModules(file) {
  return ts.preProcessFile(readFileSync(file, 'utf8')).importedFiles.map(({ fileName }) => fileName);
}
