import { defineConfig, type Options } from 'tsup';

/** The one build every package shares; declarations come from `tsc -b` (`pnpm types`). */
export function libraryConfig(options: Options = {}) {
  return defineConfig({
    entry: ['src/index.ts'],
    format: ['esm'],
    target: 'node20',
    platform: 'node',
    sourcemap: true,
    clean: false,
    dts: false,
    ...options,
  });
}
