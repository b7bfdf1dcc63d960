import { existsSync, readdirSync } from 'node:fs';
import { join, sep } from 'node:path';

/** Folders of all packages of the workspace, relative to its root. */
export function workspaceFolders(root) {
  return ['packages', 'kernels', 'apps', 'tooling'].flatMap((group) =>
    (existsSync(join(root, group)) ? readdirSync(join(root, group)) : [])
      .map((name) => join(group, name))
      .filter((folder) => existsSync(join(root, folder, 'package.json'))),
  );
}

const left = new Set(['node_modules', 'dist', 'generated', '.turbo']);

/** Source files of a package with their path in it, and whether they are part of what it publishes: src and bin without tests. */
export function packageFiles(folder, inside = '') {
  return readdirSync(join(folder, inside), { withFileTypes: true }).flatMap((entry) => {
    const path = join(inside, entry.name);
    if (entry.isDirectory()) return left.has(entry.name) ? [] : packageFiles(folder, path);
    if (!/\.(ts|tsx|mts|js|mjs|cjs)$/.test(entry.name)) return [];
    return [{ path, ships: /^(src|bin)$/.test(path.split(sep)[0]) && !/\.test\.tsx?$/.test(path) }];
  });
}
