import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../../../', import.meta.url));
const folder = resolve(root, process.env.FEWBIT_SHARED ?? '../shared');

/** The one door to reference models and texts that are not part of the repository; undefined where they are absent. */
export function shared(path: string): string | undefined {
  const full = join(folder, path);
  return existsSync(full) ? full : undefined;
}

/** SmolLM2-135M, which `.ci/run` makes by the shared script: where FEWBIT_SMOLLM2 points; undefined where it is absent. */
export function smollm2(): string | undefined {
  const path = process.env.FEWBIT_SMOLLM2;
  return path !== undefined && existsSync(join(path, 'config.json')) ? path : undefined;
}

/** The model that ships with the repository. */
export const embeddedModel = join(root, 'tooling/embedded-model/model');
