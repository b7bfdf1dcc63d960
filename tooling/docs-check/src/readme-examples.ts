import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

export interface Example {
  /** `packages/core/README.md` */
  readonly readme: string;
  readonly code: string;
  /** What a `console.log` says it prints, in the comment behind it, in order. `…` stands for any text. */
  readonly prints: readonly string[];
}

/** Every ```ts block of every README of a package, and of the root's. */
export function readmeExamples(root: string): Example[] {
  return ['.', ...packageFolders(root)]
    .map((folder) => join(folder, 'README.md'))
    .filter((readme) => existsSync(join(root, readme)))
    .flatMap((readme) => {
      const blocks = readFileSync(join(root, readme), 'utf8').matchAll(/^```ts\n(.*?)^```$/gms);
      return [...blocks].map(([, code]) => ({ readme, code: code!, prints: printed(code!) }));
    });
}

/** Folders of the packages that have a README of their own. */
export function packageFolders(root: string): string[] {
  return ['packages', 'kernels', 'apps'].flatMap((group) =>
    readdirSync(join(root, group))
      .map((name) => join(group, name))
      .filter((folder) => existsSync(join(root, folder, 'package.json'))),
  );
}

function printed(code: string): string[] {
  return [...code.matchAll(/console\.log\(.*\); \/\/ (.*)$/gm)].map(([, text]) => text!);
}
