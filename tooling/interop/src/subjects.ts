import { join } from 'node:path';
import { embeddedModel, shared, smollm2 } from '@fewbit/testkit';

/** A float model to quantize, and what to ask of the result. */
export interface Subject {
  /** A model directory. */
  readonly path: string;
  readonly text: string;
  readonly prompt: string;
}

const stories = 'data/tinystories/eval.jsonl';

/** By name; undefined where the model or its text is not here. */
export const subjects = {
  embedded: { path: embeddedModel, text: join(embeddedModel, 'held-out.jsonl'), prompt: 'The people of the United States' },
  'babyllama-1m': subject(shared('models/babyllama-1m'), shared(stories), 'Once upon a time'),
  'stories-260k': subject(shared('models/stories-260k'), shared(stories), 'Once upon a time'),
  'smollm2-135m': subject(smollm2(), shared(stories), 'The capital of France is'),
} satisfies Record<string, Subject | undefined>;

function subject(path: string | undefined, text: string | undefined, prompt: string): Subject | undefined {
  return path && text ? { path, text, prompt } : undefined;
}
