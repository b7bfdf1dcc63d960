import { join } from 'node:path';
import { shared, temporaryFolder } from '@fewbit/testkit';
import { describe, expect, it } from 'vitest';
import { fewbitJson } from './capture.js';

/** RTN by bitsandbytes' formats, with the perplexity that bitsandbytes itself has after rounding this model (README of shared/peers). */
const formats: Record<string, { flags: readonly string[]; perplexity: number }> = {
  nf4: { flags: ['--format', 'nf4'], perplexity: 2.04763 },
  'nf4 with double quantization': { flags: ['--format', 'nf4', '--double-quantization'], perplexity: 2.04781 },
  fp4: { flags: ['--format', 'fp4'], perplexity: 2.15716 },
};

const model = shared('models/babyllama-1m');
const text = shared('data/tinystories/eval.jsonl');
const root = temporaryFolder();

describe.skipIf(!model || !text)('babyllama-1m rounded as bitsandbytes rounds it', () => {
  for (const [name, { flags, perplexity }] of Object.entries(formats)) {
    it(`${name} evaluates to what bitsandbytes computes`, async () => {
      const output = join(root, name);
      await fewbitJson('quantize', model!, '-o', output, '--method', 'rtn', '--layout', 'bnb', ...flags);
      const evaluation = ['--text', text!, '--protocol', 'document', '--context', '256'];
      const result = await fewbitJson<{ perplexity: number }>('eval', output, ...evaluation);
      expect(Math.abs(result.perplexity / perplexity - 1)).toBeLessThan(1e-4);
    }, 600_000);
  }
});
