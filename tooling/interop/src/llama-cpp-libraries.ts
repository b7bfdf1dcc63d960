import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';

/** The folder of llama.cpp's libraries in node-llama-cpp's package for 64-bit Linux, which may not be there. pnpm lays a package's dependencies beside it. */
export const llamaCppLibraries = join(
  dirname(createRequire(import.meta.url).resolve('node-llama-cpp')),
  ...['..', '..', '@node-llama-cpp', 'linux-x64', 'bins', 'linux-x64'],
);
