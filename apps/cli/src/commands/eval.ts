import { readDocuments } from '@fewbit/calibration';
import { perplexity, protocols } from '@fewbit/eval';
import { openBackend, openPretrained } from '@fewbit/presets';
import type { Model } from '@fewbit/runtime';
import type { Command } from 'commander';
import { type GlobalOptions, type Io, printJson } from '../io.js';
import { type KernelReport, kernelReport, tellDecoded } from '../kernel-report.js';
import { addModelOptions, type ModelFlags, modelOptionsOf } from '../model-options.js';
import { oneOf, positiveInteger } from '../parse-option.js';
import { progressBar } from '../progress-bar.js';
import { table } from '../table.js';

interface Options extends GlobalOptions, ModelFlags {
  readonly text: string;
  readonly protocol: string;
  readonly context?: number;
  readonly windows?: number;
  readonly baseline?: string;
}

export function addEval(program: Command, io: Io): void {
  const command = program
    .command('eval')
    .description('perplexity of a model on a text, and how far it is from another model')
    .argument('<model>', 'a Hugging Face model directory or a .gguf file, float or quantized')
    .requiredOption('--text <file>', '.txt or .raw as it is, .jsonl with a "text" field per line')
    .option('--protocol <name>', protocols.join(', '), 'gptq')
    .option('--context <n>', 'tokens of a window (default: 2048, 512 for llama.cpp; at most what the model takes)', positiveInteger)
    .option('--windows <n>', 'only the first n windows', positiveInteger)
    .option('--baseline <model>', 'also KL divergence and top-1 agreement to this model, with the same tokenizer');
  addModelOptions(command)
    .option('--json', 'one JSON document on stdout')
    .action(async (path: string, _: unknown, command: Command) => {
      const options = command.optsWithGlobals<Options>();
      const protocol = oneOf('protocol', protocols, options.protocol);
      const documents = await readDocuments(options.text);
      const modelOptions = modelOptionsOf(options);
      const { backend } = await openBackend(options);
      const pretrained = await openPretrained(path, backend, modelOptions);
      const baseline = options.baseline ? await openPretrained(options.baseline, backend) : undefined;
      const bar = progressBar(io);
      try {
        tellDecoded(io, pretrained.model);
        const result = await perplexity({
          model: pretrained.model,
          tokenizer: pretrained.tokenizer,
          documents,
          protocol,
          ...(options.context && { context: options.context }),
          ...(options.windows && { windows: options.windows }),
          ...(baseline && { baseline: baseline.model }),
          signal: io.signal,
          onProgress: (fraction) => bar.update(fraction, path),
        });
        bar.stop();
        const document = {
          model: path,
          text: options.text,
          activations: pretrained.model.activations,
          ...result,
          ...(result.baseline && { baseline: { model: options.baseline, ...result.baseline } }),
          kernels: kernelReport(pretrained.model),
        };
        if (options.json) printJson(io, document);
        else io.stdout(describe(document));
      } finally {
        bar.stop();
        await baseline?.close();
        await pretrained.close();
        await backend.close();
      }
    });
}

type Document = Awaited<ReturnType<typeof perplexity>> & {
  readonly model: string;
  readonly text: string;
  readonly activations: Model['activations'];
  readonly kernels: KernelReport;
};

function describe({ model, text, activations, protocol, context, tokens, windows, baseline, kernels, ...result }: Document): string {
  const rows = [
    ['perplexity', `${result.perplexity.toFixed(5)} ± ${result.standardError.toFixed(5)}`],
    ['protocol', `${protocol}, context ${context}`],
    ['text', `${text}: ${tokens} predictions in ${windows} windows`],
    ['activations', activations],
    ['kernels', `${kernels.backend}: ${kernels.description}`],
    ['seconds', result.seconds.toFixed(1)],
  ];
  if (baseline) {
    rows.push(
      ['perplexity of the baseline', baseline.perplexity.toFixed(5)],
      [
        'KL divergence to it, nats',
        `${baseline.kl.mean.toFixed(6)} ± ${baseline.kl.standardError.toFixed(6)}, 99 % below ${baseline.kl.p99.toFixed(4)}`,
      ],
      ['same likeliest token', `${(100 * baseline.topOne.agreement).toFixed(2)} % ± ${(100 * baseline.topOne.standardError).toFixed(2)}`],
    );
  }
  return table([model, ''], rows);
}
