import { openBackend, openPretrained } from '@fewbit/presets';
import { generate } from '@fewbit/runtime';
import type { Command } from 'commander';
import { type GlobalOptions, type Io, printJson } from '../io.js';
import { nonNegative, positiveInteger, probability, wholeNumber } from '../parse-option.js';

interface Options extends GlobalOptions {
  readonly prompt: string;
  readonly maxTokens: number;
  readonly temperature: number;
  readonly topK?: number;
  readonly topP?: number;
  readonly minP?: number;
  readonly seed: number;
}

export function addGenerate(program: Command, io: Io): void {
  program
    .command('generate')
    .description('continue a text')
    .argument('<model>', 'a Hugging Face model directory or a .gguf file, float or quantized')
    .requiredOption('--prompt <text>', 'the text to continue')
    .option('--max-tokens <n>', 'tokens to write at most', positiveInteger, 128)
    .option('--temperature <t>', '0: always the likeliest token', nonNegative, 0)
    .option('--top-k <n>', 'draw from the n likeliest tokens', positiveInteger)
    .option('--top-p <p>', 'draw from the likeliest tokens that hold p of the probability', probability)
    .option('--min-p <p>', 'draw from tokens at least p times as likely as the likeliest', probability)
    .option('--seed <n>', 'for the draw', wholeNumber, 0)
    .option('--json', 'one JSON document on stdout')
    .action(async (path: string, _: unknown, command: Command) => {
      const options = command.optsWithGlobals<Options>();
      const { backend } = await openBackend(options);
      const pretrained = await openPretrained(path, backend);
      try {
        const { json, threads: _threads, backend: _backend, ...sampling } = options;
        const stream = generate(pretrained.model, pretrained.tokenizer, { ...sampling, eos: pretrained.eos, signal: io.signal });
        let next = await stream.next();
        for (; !next.done; next = await stream.next()) if (!json) io.stdout(next.value);
        if (json) printJson(io, next.value);
        else io.stdout('\n');
      } finally {
        await pretrained.close();
        await backend.close();
      }
    });
}
