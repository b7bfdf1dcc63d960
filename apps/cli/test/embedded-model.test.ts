import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { embeddedModel } from '@fewbit/testkit';
import { expect, it } from 'vitest';
import { fewbitJson } from './capture.js';

interface Result {
  readonly perplexity: number;
  readonly tokens: number;
}

/** Made by transformers (tooling/embedded-model/evaluate.py). */
const reference = JSON.parse(readFileSync(join(embeddedModel, 'reference.json'), 'utf8')) as Record<'document' | 'gptq', Result>;
const text = join(embeddedModel, 'held-out.jsonl');

it.each(['document', 'gptq'] as const)(
  'the embedded model has the perplexity that transformers gives it: %s',
  async (protocol) => {
    const got = await fewbitJson<Result>('eval', embeddedModel, '--text', text, '--protocol', protocol, '--context', '256');
    expect(got.tokens).toBe(reference[protocol].tokens);
    expect(Math.abs(got.perplexity - reference[protocol].perplexity)).toBeLessThan(5e-4);
  },
  300_000,
);
