import type { QuantizeJob } from '@fewbit/presets';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openSession, type Session } from '../src/open-session.js';
import { subjects } from '../src/subjects.js';
import { python } from '../src/transformers.js';
import { agreeWithTransformers } from '../src/transformers-agreement.js';

/** What each case writes, by a short name: what the pinned transformers reads. It refuses ragged groups and one int8 scale per tensor. */
const recipes: Record<string, Omit<QuantizeJob, 'model' | 'output'>> = {
  'int4 g32 symmetric': { method: 'rtn', format: 'int4', group: 32 },
  'int4 g32 asymmetric': { method: 'rtn', format: 'int4', group: 32, symmetric: false },
  'int4 per channel': { method: 'rtn', format: 'int4', group: -1 },
  'int3 g32 asymmetric': { method: 'rtn', format: 'int3', group: 32 },
  'int2 g32 asymmetric': { method: 'rtn', format: 'int2', group: 32 },
  'int5 g32': { method: 'rtn', format: 'int5', group: 32 },
  'int6 g32 asymmetric': { method: 'rtn', format: 'int6', group: 32, symmetric: false },
  'int7 g32': { method: 'rtn', format: 'int7', group: 32 },
  'int8 g32': { method: 'rtn', format: 'int8', group: 32 },
  'int8 per channel': { method: 'rtn', format: 'int8', group: -1 },
};

describe.skipIf(!python)('transformers with compressed-tensors', () => {
  let session: Session;
  beforeAll(async () => {
    session = await openSession();
  });
  afterAll(() => session?.close(), 60_000);

  for (const name of ['embedded', 'babyllama-1m'] as const) {
    const subject = subjects[name];
    for (const [title, recipe] of Object.entries(recipes)) {
      it.skipIf(!subject)(`${name}: ${title}`, async () => {
        const output = session.output(`${name} ${title}`);
        const found = await agreeWithTransformers({ ...session, subject: subject!, recipe, output, windows: 12 });
        expect(found.logits).toBeLessThan(1e-3);
        expect(found.greedy.ours).toEqual(found.greedy.theirs);
        expect(found.perplexity).toBeLessThan(1e-3);
      });
    }
  }
});
