// node run-source.mjs ENTRY ARGUMENT…: runs a program from its TypeScript sources, without a build, as `node ENTRY ARGUMENT…` would.

import { resolve } from 'node:path';
import { createServer } from 'vite';

const entry = resolve(process.argv[2]);
process.argv.splice(1, 2, entry);
const server = await createServer({
  configFile: false,
  logLevel: 'silent',
  appType: 'custom',
  server: { middlewareMode: true, hmr: false, ws: false, watch: null },
  optimizeDeps: { noDiscovery: true },
  ssr: { noExternal: [/^@fewbit\//], resolve: { conditions: ['@fewbit/source', 'node', 'import', 'module', 'default'] } },
});
try {
  await server.ssrLoadModule(entry);
} finally {
  await server.close();
}
