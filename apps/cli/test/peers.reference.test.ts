import { shared } from '@fewbit/testkit';
import { describe, expect, it } from 'vitest';
import { fewbitJson } from './capture.js';

/** What other programs wrote, with the perplexity that those programs compute (README of shared/peers), and how near ours must be. */
const peers: Record<string, { perplexity: number; within: number }> = {
  'llmc-baby-gptq4g32s': { perplexity: 1.98506, within: 1e-4 },
  'llmc-baby-gptq4g32a': { perplexity: 1.98046, within: 1e-4 },
  'gm-baby-4g32s': { perplexity: 1.98875, within: 1e-4 },
  'gm-baby-4g32a': { perplexity: 1.98133, within: 1e-4 },
  'bnb-baby-nf4': { perplexity: 2.04763, within: 1e-4 },
  'bnb-baby-nf4dq': { perplexity: 2.04781, within: 1e-4 },
  'bnb-baby-fp4': { perplexity: 2.15716, within: 1e-4 },
  'bnb-baby-int8': { perplexity: 1.95652, within: 2e-3 },
  'llmc-baby-w8a8': { perplexity: 1.95756, within: 2e-3 },
  'llmc-baby-fp8dyn': { perplexity: 1.97147, within: 2e-3 },
  'llmc-baby-nvfp4a16': { perplexity: 2.05405, within: 1e-4 },
  'llmc-baby-mxfp4a16': { perplexity: 2.09863, within: 1e-4 },
};

const text = shared('data/tinystories/eval.jsonl');

describe.skipIf(!shared('peers') || !text)('checkpoints of other programs', () => {
  for (const [name, { perplexity, within }] of Object.entries(peers)) {
    it(`${name} evaluates to what its writer computes`, async () => {
      const flags = ['--text', text!, '--protocol', 'document', '--context', '256'];
      const result = await fewbitJson<{ perplexity: number }>('eval', shared(`peers/${name}`)!, ...flags);
      expect(Math.abs(result.perplexity / perplexity - 1)).toBeLessThan(within);
    }, 600_000);
  }
});
