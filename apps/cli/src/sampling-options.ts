import type { Command } from 'commander';
import { nonNegative, positiveInteger, probability, wholeNumber } from './parse-option.js';

/** As `sampler` of @fewbit/runtime takes them. */
export interface SamplingFlags {
  readonly maxTokens: number;
  readonly temperature: number;
  readonly topK?: number;
  readonly topP?: number;
  readonly minP?: number;
  readonly seed: number;
}

/** Adds the flags of how tokens are drawn. */
export function addSamplingOptions(
  command: Command,
  { maxTokens, temperature }: Pick<SamplingFlags, 'maxTokens' | 'temperature'>,
): Command {
  return command
    .option('--max-tokens <n>', 'tokens to write at most', positiveInteger, maxTokens)
    .option('--temperature <t>', '0: always the likeliest token', nonNegative, temperature)
    .option('--top-k <n>', 'draw from the n likeliest tokens', positiveInteger)
    .option('--top-p <p>', 'draw from the likeliest tokens that hold p of the probability', probability)
    .option('--min-p <p>', 'draw from tokens at least p times as likely as the likeliest', probability)
    .option('--seed <n>', 'for the draw', wholeNumber, 0);
}

/** The sampling flags among a command's options. */
export function samplingOf({ maxTokens, temperature, topK, topP, minP, seed }: SamplingFlags): SamplingFlags {
  return { maxTokens, temperature, seed, ...(topK && { topK }), ...(topP && { topP }), ...(minP && { minP }) };
}
