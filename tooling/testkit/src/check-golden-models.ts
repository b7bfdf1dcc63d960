// By path: these packages test with the testkit, and a dependency back would close a cycle.
import { openModelDirectory } from '../../../packages/checkpoint/src/index.js';
import type { BackendProbe } from '../../../packages/kernels/src/index.js';
import { createCache, openModel, openWeights } from '../../../packages/runtime/src/index.js';
import { goldenModels } from './golden-models.js';

/** Throws where the logits of a tiny model, whole or token by token, are not those of transformers; returns what ran them. For where no test runner runs. */
export async function checkGoldenModels(probe: BackendProbe): Promise<string> {
  const backend = await probe({ threads: 2 });
  if ('unavailable' in backend) throw new Error(backend.unavailable);
  for (const { name, folder, expected } of goldenModels) {
    const directory = await openModelDirectory(folder);
    const model = await openModel(await openWeights(directory), backend, { keyValues: 'f32' });
    const { tokens, logits } = expected();
    check(`${name}, whole`, (await model.logits(tokens)).data, logits);
    const cache = createCache(model, { pageTokens: 7 });
    const rows: number[] = [];
    for (const token of tokens) rows.push(...(await model.logits(Uint32Array.of(token), { cache })).data);
    check(`${name}, token by token`, rows, logits);
    cache.close();
    await model.close();
    await directory.close();
  }
  await backend.close();
  return `${backend.description}: ${goldenModels.length} models as transformers has them`;
}

function check(what: string, got: ArrayLike<number>, want: Float32Array): void {
  const squares = (values: Float32Array) => values.reduce((sum, value) => sum + value * value, 0);
  const error = Math.sqrt(squares(want.map((value, i) => got[i]! - value)) / squares(want));
  if (!(error < 1e-4)) throw new Error(`${what}: the logits are off by ${error}.`);
}
