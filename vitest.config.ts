import { defineConfig, type TestProjectInlineConfiguration } from 'vitest/config';

const conditions = ['@fewbit/source', 'node', 'import', 'module', 'default'];

/** Apart, since the first needs models that are not in the repository and the second needs Python; both may be skipped, visibly. */
const reference = ['apps/cli/test/reference-results.test.ts', '**/*.reference.test.ts'];
const interop = ['tooling/interop/test/**/*.test.ts'];

/** Tests run from the sources: the `@fewbit/source` export condition stands in for a build. */
export default defineConfig({
  resolve: { conditions },
  ssr: { resolve: { conditions } },
  test: {
    testTimeout: 120_000,
    pool: 'forks',
    maxWorkers: 2,
    globalSetup: 'kernels/wasm/build-wasm.mjs',
    reporters: ['default', './tooling/vitest/skipped-reporter.mjs'],
    projects: [
      project('default', ['{packages,kernels,apps,tooling}/*/{src,test}/**/*.test.ts'], { exclude: [...reference, ...interop] }),
      project('reference', reference, { testTimeout: 600_000 }),
      project('interop', interop, { testTimeout: 600_000 }), // each file starts a Python with torch
    ],
  },
});

type Options = NonNullable<TestProjectInlineConfiguration['test']>;

function project(name: string, include: string[], { exclude = [], ...rest }: Options = {}): TestProjectInlineConfiguration {
  return { extends: true, test: { name, include, exclude: ['**/node_modules/**', '**/dist/**', ...exclude], ...rest } };
}
