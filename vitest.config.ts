import { defineConfig } from 'vitest/config';

/** Tests run from the sources: the `@fewbit/source` export condition stands in for a build. */
export default defineConfig({
  resolve: { conditions: ['@fewbit/source', 'node', 'import', 'module', 'default'] },
  ssr: { resolve: { conditions: ['@fewbit/source', 'node', 'import', 'module', 'default'] } },
  test: {
    include: ['{packages,kernels,apps,tooling}/*/{src,test}/**/*.test.ts'],
    testTimeout: 120_000,
    pool: 'forks',
    maxWorkers: 2,
  },
});
