import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type OpenedBackend, openBackend } from '@fewbit/presets';
import { startTransformers, type Transformers } from './transformers.js';

/** What the tests with transformers share: a backend, one Python, a folder for what is written. */
export interface Session {
  readonly backend: OpenedBackend['backend'];
  readonly transformers: Transformers;
  /** An empty place for what a test of this title writes. */
  output(title: string): string;
  close(): Promise<void>;
}

export async function openSession(): Promise<Session> {
  const folder = await mkdtemp(join(tmpdir(), 'fewbit-interop-'));
  const { backend } = await openBackend();
  const transformers = startTransformers();
  return {
    backend,
    transformers,
    output: (title) => join(folder, title.replace(/\W+/g, '-')),
    async close() {
      await transformers.close();
      await backend.close();
      await rm(folder, { recursive: true, force: true });
    },
  };
}
