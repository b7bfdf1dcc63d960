import { openModelDirectory } from '@fewbit/checkpoint';
import { type Backend, referenceBackend } from '@fewbit/kernels';
import { goldenModel } from '@fewbit/testkit';
import { afterEach, beforeEach, expect } from 'vitest';
import { type Model, openModel, openWeights } from '../src/index.js';

interface Opened {
  readonly model: Model;
  readonly backend: Backend;
  /** Bytes that the model takes of the backend's memory. */
  readonly loaded: number;
}

/** The golden Llama on the reference backend, opened for each test of a file; what a test leaves in the backend's memory fails it. */
export function eachWithGoldenLlama(use: (opened: Opened) => void): void {
  let model: Model;
  let backend: Backend;
  let loaded: number;
  beforeEach(async () => {
    backend = referenceBackend();
    const directory = await openModelDirectory(goldenModel('llama').folder);
    model = await openModel(await openWeights(directory), backend);
    await directory.close();
    loaded = backend.bytes;
    use({ model, backend, loaded });
  });
  afterEach(async () => {
    expect(backend.bytes).toBe(loaded);
    await model.close();
    expect(backend.bytes).toBe(0);
  });
}
