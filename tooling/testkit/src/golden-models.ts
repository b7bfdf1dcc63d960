import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** A tiny random model that transformers saved, and the logits that it computes (packages/runtime/golden). */
export interface GoldenModel {
  readonly name: string;
  /** A model directory, without tokenizer. */
  readonly folder: string;
  config(): Record<string, unknown>;
  /** `tokens` → `logits` [tokens, vocabulary] in float32. */
  expected(): { readonly tokens: Uint32Array; readonly logits: Float32Array };
}

const names = ['llama', 'llama3-rope', 'llama-linear-rope', 'mistral', 'qwen2', 'qwen3', 'gemma2', 'gpt2'] as const;

export const goldenModels: readonly GoldenModel[] = names.map(golden);

export function goldenModel(name: (typeof names)[number]): GoldenModel {
  return goldenModels.find((model) => model.name === name)!;
}

function golden(name: string): GoldenModel {
  const folder = fileURLToPath(new URL(`../../../packages/runtime/golden/${name}`, import.meta.url));
  const read = (file: string) => JSON.parse(readFileSync(join(folder, file), 'utf8'));
  return {
    name,
    folder,
    config: () => read('config.json') as Record<string, unknown>,
    expected() {
      const { tokens, logits } = read('golden.json') as { tokens: number[]; logits: number[][] };
      return { tokens: Uint32Array.from(tokens), logits: Float32Array.from(logits.flat()) };
    },
  };
}
