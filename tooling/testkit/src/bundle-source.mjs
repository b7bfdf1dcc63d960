// node bundle-source.mjs ENTRY FILE: a program and all that it imports from the sources as one file, for a Node.js without tools.

import { basename, dirname, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { build } from 'vite';

const [entry, file] = process.argv.slice(2).map((path) => resolve(path));
const conditions = ['@fewbit/source', 'node', 'import', 'module', 'default'];
await build({
  configFile: false,
  logLevel: 'warn',
  resolve: { conditions },
  ssr: { noExternal: true, target: 'node', resolve: { conditions } },
  build: {
    ssr: entry,
    outDir: dirname(file),
    emptyOutDir: false,
    rollupOptions: { output: { entryFileNames: basename(file), inlineDynamicImports: true } },
  },
  // modules find their files where they lie, not where the bundle does
  plugins: [{ name: 'place', transform: (code, id) => code.replaceAll('import.meta.url', JSON.stringify(pathToFileURL(id).href)) }],
});
