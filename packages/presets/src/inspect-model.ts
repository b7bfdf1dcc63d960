import { type ModelDirectory, modelCardFile, openModelDirectory, quantizationConfig } from '@fewbit/checkpoint';
import { elementCount } from '@fewbit/core';
import { activationName, formatName, isKeyValueTensor, type LayoutReading } from '@fewbit/formats';
import { planModel } from '@fewbit/models';
import { weightSites } from '@fewbit/pipeline';
import { candidateOf, readLayout } from './candidate.js';
import { type InspectedFile, inspectFiles } from './inspect-files.js';
import { targetsOf } from './targets.js';

export interface InspectedTensor {
  /** Module path of a quantized linear layer, else the tensor's name. */
  readonly name: string;
  /** `int4 g128 …`, or a dtype. */
  readonly format: string;
  /** How the inputs of a linear layer are rounded; absent where they are not. */
  readonly activation?: string;
  /** Logical: of the weight, not of its packed words. */
  readonly shape: readonly number[];
  readonly bitsPerWeight: number;
  readonly bytes: number;
}

/** The `--json` document of `fewbit inspect`. */
export interface ModelInspection {
  readonly model: string;
  readonly architecture: string;
  readonly parameters: number;
  readonly bytes: number;
  /** Over all tensors, scales and zero points counted. */
  readonly bitsPerWeight: number;
  readonly layout?: string;
  /** How a model is quantized that Fewbit does not read: its `quant_method`. Tensors are listed as they are stored, codes as integers. */
  readonly unread?: string;
  /** How keys and values are rounded; absent where they are not. */
  readonly keyValues?: string;
  /** Engines that load it; absent for a float model. */
  readonly loads?: readonly string[];
  /** Who wrote it, where a model card of Fewbit or the config says. */
  readonly writer?: string;
  readonly formats: readonly { readonly format: string; readonly modules: number; readonly parameters: number }[];
  readonly modules: readonly InspectedTensor[];
  /** Those that a model card written by Fewbit has hashes of; absent where there is no such card. */
  readonly files?: readonly InspectedFile[];
}

export interface InspectOptions {
  /** Read the files whole and compare their hashes with the model card's. Default false: sizes are compared. */
  readonly verify?: boolean;
}

/** What a model directory holds, from its headers and second-level scales: no weights are read, unless to verify them. */
export async function inspectModel(path: string, { verify = false }: InspectOptions = {}): Promise<ModelInspection> {
  const directory = await openModelDirectory(path);
  try {
    const quantization = await quantizationConfig(directory);
    const reading = await readLayout(directory);
    const modules = inspectTensors(directory, reading);
    const parameters = modules.reduce((sum, { shape }) => sum + elementCount(shape), 0);
    const bytes = modules.reduce((sum, module) => sum + module.bytes, 0);
    const files = await inspectFiles(directory, verify);
    const described = files?.every(({ state }) => state === 'unchecked' || state === 'same');
    const writer = writerOf(directory, quantization, described ? await directory.text(modelCardFile) : undefined);
    const loads = reading && targetsOf(await candidateOf(directory, reading));
    const unread = reading ? undefined : unreadMethod(quantization);
    return {
      model: path,
      architecture: planModel(directory.config).architecture,
      parameters,
      bytes,
      bitsPerWeight: (bytes * 8) / parameters,
      ...(reading && loads && { layout: reading.layout.id, loads }),
      ...(unread !== undefined && { unread }),
      ...(reading?.keyValues && { keyValues: activationName(reading.keyValues) }),
      ...(writer && { writer }),
      formats: [...new Set(modules.map(({ format }) => format))].map((format) => {
        const members = modules.filter((module) => module.format === format);
        return { format, modules: members.length, parameters: members.reduce((sum, { shape }) => sum + elementCount(shape), 0) };
      }),
      modules,
      ...(files && { files }),
    };
  } finally {
    await directory.close();
  }
}

/** Of a config that no layout knows; undefined where there is none. */
function unreadMethod(quantization: unknown): string | undefined {
  if (quantization === undefined) return undefined;
  const { quant_method: method } = quantization as { quant_method?: unknown };
  return typeof method === 'string' ? method : JSON.stringify(method ?? null);
}

/** Quantized linears by module, with all that belongs to their weight; the other tensors as they are. */
function inspectTensors({ config, checkpoint }: ModelDirectory, reading: LayoutReading | undefined): InspectedTensor[] {
  const quantized = new Map<string, InspectedTensor>();
  for (const { module, role, rows, cols } of weightSites(planModel(config, checkpoint.tensors))) {
    const spec = reading?.format(module);
    if (!spec || (role !== 'linear' && checkpoint.tensors.has(`${module}.weight`))) continue;
    const parts = [...checkpoint.tensors].filter(
      ([name]) => name.startsWith(`${module}.`) && name !== `${module}.bias` && !isKeyValueTensor(name),
    );
    const bytes = parts.reduce((sum, [, info]) => sum + info.bytes, 0);
    const inputs = reading?.activation?.(module);
    const tensor: InspectedTensor = {
      name: module,
      format: formatName(spec),
      ...(inputs && { activation: activationName(inputs) }),
      shape: [rows, cols],
      bitsPerWeight: (bytes * 8) / (rows * cols),
      bytes,
    };
    for (const [name] of parts) quantized.set(name, tensor);
  }
  const plain = (name: string): InspectedTensor => {
    const { dtype, shape, bytes } = checkpoint.tensors.get(name)!;
    return { name, format: dtype, shape, bitsPerWeight: (bytes * 8) / Math.max(1, elementCount(shape)), bytes };
  };
  return [...new Set([...checkpoint.tensors.keys()].map((name) => quantized.get(name) ?? plain(name)))];
}

/** By Fewbit's card where the files are those that it speaks of, else by the config. */
function writerOf({ config }: ModelDirectory, quantization: unknown, card: string | undefined): string | undefined {
  const made = card && /^\| made by +\| (Fewbit [^ |]+) +\|$/m.exec(card)?.[1];
  if (made) return made;
  if (typeof quantization !== 'object' || quantization === null) return undefined;
  const { quant_method: method, version, meta } = quantization as Record<string, unknown>;
  const quantizer = (meta as { quantizer?: unknown } | null | undefined)?.quantizer; // GPTQModel's: ["gptqmodel:7.6.0"]
  if (quantizer !== undefined) return [quantizer].flat().join(', ').replaceAll(':', ' ');
  if (method === 'compressed-tensors' && typeof version === 'string') return `${method} ${version}`;
  const { transformers_version: saver } = config as { transformers_version?: unknown };
  return method === 'bitsandbytes' && typeof saver === 'string' ? `${method} through transformers ${saver}` : undefined;
}
