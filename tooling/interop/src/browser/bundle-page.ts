import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { build, type Plugin, type Rollup } from 'vite';
import { installPnpm, pnpm } from '../../../scripts/pnpm.mjs';

const path = (name: string) => fileURLToPath(new URL(name, import.meta.url));
const entries = { checks: path('page.ts'), example: 'readme-example' };

/**
 * Two pages with what they are made of, by path, out of the packages as they are published: /checks runs page.ts, /example what the README of
 * kernels-wasm shows for browsers. Throws where a package imports a module of Node.js.
 */
export async function bundlePages(): Promise<ReadonlyMap<string, Uint8Array | string>> {
  await installPnpm();
  await pnpm('exec', 'turbo', 'run', 'build', '--output-logs=errors-only', '--filter=@fewbit/kernels-wasm', '--filter=@fewbit/runtime');
  const { output } = (await build({
    configFile: false,
    logLevel: 'error',
    root: path('../../'),
    plugins: [readmeExample, withoutNode],
    build: { write: false, minify: false, target: 'es2023', modulePreload: false, rollupOptions: { input: entries } },
  })) as Rollup.RollupOutput;
  const files = output.map((file) => [`/${file.fileName}`, file.type === 'chunk' ? file.code : file.source] as const);
  const pages = Object.keys(entries).map((name) => {
    const { fileName } = output.find((file) => file.type === 'chunk' && file.isEntry && file.name === name)!;
    return [
      `/${name}`,
      `<!doctype html><meta charset="utf-8"><title>Fewbit</title><script type="module" src="/${fileName}"></script>`,
    ] as const;
  });
  return new Map([...files, ...pages]);
}

const readmeExample: Plugin = {
  name: 'readme-example',
  resolveId: (specifier) => (specifier === entries.example ? `\0${entries.example}` : undefined),
  load: (id) => (id === `\0${entries.example}` ? browserExample() : undefined),
};

/** The ```js block of the README: the ```ts ones run in Node.js. */
export function browserExample(): string {
  const readme = readFileSync(path('../../../../kernels/wasm/README.md'), 'utf8');
  return /^```js\n(.*?)^```$/ms.exec(readme)![1]!;
}

const withoutNode: Plugin = {
  name: 'without-node',
  enforce: 'pre',
  resolveId(specifier, importer) {
    if (specifier.startsWith('node:')) throw new Error(`${importer} imports ${specifier}, which browsers do not have.`);
  },
};
