import { openBackend, openPretrained } from '@fewbit/presets';
import { generate } from '@fewbit/runtime';
import type { Command } from 'commander';
import { type GlobalOptions, type Io, printJson } from '../io.js';
import { kernelReport, tellDecoded } from '../kernel-report.js';
import { addModelOptions, type ModelFlags, modelOptionsOf } from '../model-options.js';
import { addSamplingOptions, type SamplingFlags, samplingOf } from '../sampling-options.js';

interface Options extends GlobalOptions, SamplingFlags, ModelFlags {
  readonly prompt: string;
  readonly verbose?: boolean;
}

export function addGenerate(program: Command, io: Io): void {
  const command = program
    .command('generate')
    .description('continue a text')
    .argument('<model>', 'a Hugging Face model directory or a .gguf file, float or quantized')
    .requiredOption('--prompt <text>', 'the text to continue');
  addModelOptions(addSamplingOptions(command, { maxTokens: 128, temperature: 0 }))
    .option('--verbose', 'also tell on stderr what runs the model')
    .option('--json', 'one JSON document on stdout')
    .action(async (path: string, _: unknown, command: Command) => {
      const options = command.optsWithGlobals<Options>();
      const { prompt, json, verbose } = options;
      const modelOptions = modelOptionsOf(options);
      const { backend } = await openBackend(options);
      const { model, tokenizer, eos, close } = await openPretrained(path, backend, modelOptions);
      try {
        tellDecoded(io, model, verbose);
        const stream = generate(model, tokenizer, { ...samplingOf(options), prompt, eos, signal: io.signal });
        let next = await stream.next();
        for (; !next.done; next = await stream.next()) if (!json) io.stdout(next.value);
        if (json) printJson(io, { ...next.value, kernels: kernelReport(model) });
        else io.stdout('\n');
      } finally {
        await close();
        await backend.close();
      }
    });
}
