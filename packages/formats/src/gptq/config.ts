import { FewbitError } from '@fewbit/core';
import { isSymmetric } from '../int/int-format.js';
import { integersOnly } from '../int-matrix.js';
import { isRecord } from '../is-record.js';
import { pythonPattern } from '../python-pattern.js';
import type { FormatSpec, IntSpec, Layout, LayoutReading } from '../types.js';
import type { Version } from './words.js';

const checkpointFormats = { 1: 'gptq', 2: 'gptq_v2' } as const;

/**
 * The `quantization_config` of GPTQ. The first module's format is the file's; modules that differ from it, or stay in float
 * among quantized ones, stand under `dynamic` (GPTQModel, vLLM). `damp_percent` is left out: readers refuse it at 0.
 */
export function describeConfig(
  modules: ReadonlyMap<string, FormatSpec>,
  ignored: readonly string[],
  columnGrouped: ReadonlySet<string> = new Set(),
  version: Version,
): Record<string, unknown> {
  const [first] = modules.entries();
  if (!first) throw new FewbitError('usage', 'No module is quantized, so there is no quantization_config to write.');
  const base = moduleConfig(first[1], columnGrouped.has(first[0]));
  const dynamic: Record<string, unknown> = {};
  for (const [module, spec] of modules) {
    const own = moduleConfig(spec, columnGrouped.has(module));
    if (JSON.stringify(own) !== JSON.stringify(base)) dynamic[`+:${exactly(module)}`] = own;
  }
  for (const module of ignored) if (module !== 'lm_head') dynamic[`-:${exactly(module)}`] = {};
  const format = checkpointFormats[version];
  return {
    quant_method: 'gptq',
    ...base,
    lm_head: modules.has('lm_head'),
    checkpoint_format: format,
    format,
    pack_dtype: 'int32',
    ...(Object.keys(dynamic).length > 0 && { dynamic }),
    meta: { quantizer: ['fewbit'] },
  };
}

function moduleConfig(spec: FormatSpec, grouped: boolean) {
  const { bits, granularity, scheme } = integersOnly(spec, 'GPTQ');
  return { bits, group_size: granularity.kind === 'group' ? granularity.size : -1, desc_act: grouped, sym: isSymmetric(scheme) };
}

/** Python's re.match starts at the start, and goes on past a match. */
function exactly(module: string): string {
  return `^${module.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')}$`;
}

/** Reads a `quantization_config` of GPTQ; undefined for another method's or the other version's. */
export function readConfig(config: unknown, layout: Layout, version: Version): LayoutReading | undefined {
  if (!isRecord(config) || config.quant_method !== 'gptq') return undefined;
  const format = config.checkpoint_format ?? config.format ?? 'gptq';
  if (format !== 'gptq' && format !== 'gptq_v2') {
    throw new FewbitError('unsupported', `GPTQ checkpoint_format ${JSON.stringify(format)} is not read; gptq and gptq_v2 are.`);
  }
  if (format !== checkpointFormats[version]) return undefined;
  if ((config.pack_dtype ?? 'int32') !== 'int32') {
    throw new FewbitError('unsupported', `GPTQ pack_dtype ${JSON.stringify(config.pack_dtype)} is not read; int32 is.`);
  }
  const base = readModule('quantization_config', config);
  const overrides = readDynamic(config);
  const suffixes = readSuffixes(config.modules_in_block_to_quantize);
  return {
    layout,
    format(module) {
      if (module === 'lm_head' && config.lm_head !== true) return undefined;
      if (suffixes && module !== 'lm_head' && !suffixes.some((suffix) => `.${module}`.endsWith(`.${suffix}`))) return undefined;
      const override = overrides.find(({ pattern }) => pattern.test(module));
      return override ? override.spec : base;
    },
  };
}

/** GPTQModel's overrides by module pattern, first match first; without a spec the module is stored in float. */
function readDynamic(config: Record<string, unknown>): { pattern: RegExp; spec?: IntSpec }[] {
  const { dynamic } = config;
  if (dynamic === undefined || dynamic === null) return [];
  if (!isRecord(dynamic)) throw new FewbitError('config', 'quantization_config.dynamic must be an object of module patterns.');
  return Object.entries(dynamic).map(([key, own]) => {
    const pattern = pythonPattern(key.replace(/^[+-]:/, ''));
    if (key.startsWith('-:')) return { pattern };
    if (!isRecord(own)) throw new FewbitError('config', `quantization_config.dynamic[${JSON.stringify(key)}] must be an object.`);
    return { pattern, spec: readModule(`quantization_config.dynamic[${JSON.stringify(key)}]`, { ...config, ...own }) };
  });
}

function readModule(path: string, { bits, group_size: size, sym = true }: Record<string, unknown>): IntSpec {
  const refuse = (key: string, value: unknown, wanted: string) =>
    new FewbitError('config', `${path}.${key} is ${JSON.stringify(value)}; ${wanted}.`);
  if (bits !== 2 && bits !== 3 && bits !== 4 && bits !== 8) throw refuse('bits', bits, 'GPTQ has 2, 3, 4 or 8');
  if (typeof sym !== 'boolean') throw refuse('sym', sym, 'use true or false');
  if (!Number.isSafeInteger(size) || (size !== -1 && (size as number) < 1)) {
    throw refuse('group_size', size, 'use a positive whole number, or -1 for one group per channel');
  }
  return {
    kind: 'int',
    bits,
    scheme: sym ? 'symmetric-full' : 'asymmetric',
    granularity: size === -1 ? { kind: 'channel' } : { kind: 'group', size: size as number },
    scaleType: 'F16',
  };
}

/** Names that the quantized modules end with; a list, or a list of lists. */
function readSuffixes(value: unknown): readonly string[] | undefined {
  if (value === undefined || value === null) return undefined;
  const names: unknown[] = Array.isArray(value) ? value.flat() : [undefined];
  if (!names.every((name) => typeof name === 'string')) {
    throw new FewbitError(
      'config',
      'quantization_config.modules_in_block_to_quantize must be a list of module names, or of lists of them.',
    );
  }
  return names as string[];
}
