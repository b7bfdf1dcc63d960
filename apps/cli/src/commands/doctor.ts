import { arch, availableParallelism, cpus, freemem, platform, totalmem } from 'node:os';
import { type OpenedBackend, openBackend, openPretrained } from '@fewbit/presets';
import type { Command } from 'commander';
import { type GlobalOptions, type Io, printJson } from '../io.js';
import { type KernelReport, kernelReport } from '../kernel-report.js';
import { megabytes, table } from '../table.js';
import { version } from '../version.js';

export function addDoctor(program: Command, io: Io): void {
  program
    .command('doctor')
    .description('what runs here, and why not what does not')
    .argument('[model]', 'also what runs its matrices: a Hugging Face model directory or a .gguf file')
    .option('--json', 'one JSON document on stdout')
    .action(async (path: string | undefined, _: unknown, command: Command) => {
      const options = command.optsWithGlobals<GlobalOptions>();
      const { backend, refused } = await openBackend(options);
      const findings = {
        fewbit: version,
        node: process.version,
        machine: {
          platform: platform(),
          arch: arch(),
          cpu: cpus()[0]?.model.trim() ?? 'unknown',
          cores: availableParallelism(),
          memory: { total: totalmem(), free: freemem() },
        },
        backend: { id: backend.id, description: backend.description, threads: backend.threads },
        refused,
        ops: backend.chosen,
        rejected: backend.rejected ?? {},
        ...(path !== undefined && { model: await examine(path, backend) }),
      };
      await backend.close();
      if (options.json) return printJson(io, findings);
      io.stdout(describe(findings));
    });
}

/** What a model's matrices are in memory. */
async function examine(path: string, backend: OpenedBackend['backend']): Promise<ModelFindings> {
  const { model, close } = await openPretrained(path, backend);
  const findings = { path, bytes: backend.bytes, ...kernelReport(model) };
  await close();
  return findings;
}

type ModelFindings = KernelReport & { readonly path: string; readonly bytes: number };

interface Findings {
  readonly fewbit: string;
  readonly node: string;
  readonly machine: {
    readonly platform: string;
    readonly arch: string;
    readonly cpu: string;
    readonly cores: number;
    readonly memory: { readonly total: number; readonly free: number };
  };
  readonly backend: { readonly id: string; readonly description: string };
  readonly refused: readonly { readonly id: string; readonly reason: string }[];
  readonly ops: Readonly<Record<string, string>>;
  readonly rejected: Readonly<Record<string, string>>;
  readonly model?: ModelFindings;
}

function describe({ fewbit, node, machine, backend, refused, ops, rejected, model }: Findings): string {
  const serving = [...new Set(Object.values(ops))];
  return table(
    ['fewbit doctor', ''],
    [
      ['fewbit', fewbit],
      ['node', node],
      ['machine', `${machine.cpu}, ${machine.cores} cores, ${machine.platform} ${machine.arch}`],
      ['memory', `${megabytes(machine.memory.total)}, ${megabytes(machine.memory.free)} free`],
      ['kernels', `${backend.id}: ${backend.description}`],
      ...refused.map(({ id, reason }) => [`not ${id}`, reason]),
      ...serving.map((id) => [`served by ${id}`, lines(Object.keys(ops).filter((op) => ops[op] === id))]),
      ...Object.entries(rejected).map(([op, reason]) => [op, lines(reason.split(' '))]),
      ...(model ? describeModel(model) : []),
    ],
  );
}

function describeModel({ path, bytes, activations, decoded }: ModelFindings): string[][] {
  return [
    ['model', path],
    ['in memory', megabytes(bytes)],
    ...(activations ? [['inputs of codes', lines(activations.split(' '))]] : []),
    ...Object.entries(decoded).map(([reason, modules]) => [
      'held as float32',
      lines([...`${modules.length} quantized weights: ${reason}:`.split(' '), ...modules]),
    ]),
  ];
}

/** Words in lines that a terminal has room for. */
function lines(words: readonly string[]): string {
  return words
    .join(' ')
    .replace(/(.{1,72})(?: |$)/g, '$1\n')
    .trimEnd();
}
