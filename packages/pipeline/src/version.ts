import { readFileSync } from 'node:fs';

/** Of Fewbit: all packages have one. */
export const version: string = (JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as { version: string })
  .version;
