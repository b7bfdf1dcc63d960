import { FewbitError } from '@fewbit/core';
import type { FormatSpec, Granularity, IntSpec, Layout, LayoutReading } from '../types.js';
import { targetMatcher } from './target-matcher.js';

/**
 * Reads a `quantization_config` of compressed-tensors; undefined for another method's.
 * `scaleType` is BF16 where the config does not tell (it seldom does): `unpack` takes it from the stored tensor.
 * Throws `unsupported` for what Fewbit cannot read, `config` for what contradicts itself.
 */
export function readConfig(config: unknown, layout: Layout): LayoutReading | undefined {
  if (!isRecord(config) || config.quant_method !== 'compressed-tensors') return undefined;
  refuseExtras(config);
  const ignored = targetMatcher(strings('ignore', config.ignore ?? []));
  const formats = readGroups(config);
  const targeted = targetMatcher([...formats.keys()]);
  return {
    layout,
    format(module) {
      const target = ignored(module) === undefined ? targeted(module) : undefined;
      return target === undefined ? undefined : formats.get(target);
    },
  };
}

/** Target → format, undefined for a group that leaves weights in float; a later group wins, as in compressed-tensors. */
function readGroups(config: Record<string, unknown>): ReadonlyMap<string, FormatSpec | undefined> {
  const formats = new Map<string, FormatSpec | undefined>();
  if (!isRecord(config.config_groups))
    throw new FewbitError('config', 'quantization_config.config_groups is missing; it must be an object.');
  for (const [name, group] of Object.entries(config.config_groups)) {
    if (!isRecord(group))
      throw new FewbitError('unsupported', `config_groups.${name} is a preset, not an object; write its arguments out.`);
    const spec = readGroup(name, group, group.format ?? config.format);
    for (const target of strings(`config_groups.${name}.targets`, group.targets)) formats.set(target, spec);
  }
  return formats;
}

/** Parts of a config that change what the model computes and that Fewbit does not read. */
function refuseExtras(config: Record<string, unknown>): void {
  for (const key of ['kv_cache_scheme', 'sparsity_config', 'transform_config']) {
    const value = config[key];
    if (isRecord(value) && Object.keys(value).length > 0) {
      throw new FewbitError('unsupported', `quantization_config.${key} is set; Fewbit reads compressed-tensors without it.`);
    }
  }
  const status = config.quantization_status ?? 'compressed';
  if (status !== 'compressed' && status !== 'frozen') {
    throw new FewbitError(
      'unsupported',
      `quantization_status is ${JSON.stringify(status)}; only "compressed" weights are stored quantized.`,
    );
  }
}

/** The format of a group, or undefined where it leaves weights in float. */
function readGroup(name: string, group: Record<string, unknown>, format: unknown): IntSpec | undefined {
  for (const which of ['input_activations', 'output_activations']) {
    const scheme = group[which];
    if (isRecord(scheme)) {
      const { num_bits, type, strategy, dynamic } = scheme;
      throw new FewbitError(
        'unsupported',
        `config_groups.${name} quantizes ${which} (${type}${num_bits}, per ${strategy}, ${dynamic ? 'dynamic' : 'static'}); Fewbit reads weight-only checkpoints.`,
      );
    }
  }
  if (group.weights === null || group.weights === undefined) return undefined;
  if (format !== 'pack-quantized' && format !== 'int-quantized') {
    throw new FewbitError(
      'unsupported',
      `compressed-tensors format ${JSON.stringify(format)} is not read; pack-quantized and int-quantized are.`,
    );
  }
  if (!isRecord(group.weights)) throw new FewbitError('config', `config_groups.${name}.weights must be an object.`);
  return readWeights(`config_groups.${name}.weights`, group.weights, format);
}

function readWeights(path: string, weights: Record<string, unknown>, format: 'pack-quantized' | 'int-quantized'): IntSpec {
  const bits = weights.num_bits ?? 8;
  const symmetric = weights.symmetric ?? true;
  const type = weights.type ?? 'int';
  const unsupported = (what: string) => new FewbitError('unsupported', `${path}: ${what}.`);
  if (type !== 'int' || !isBits(bits)) throw unsupported(`${type}${bits} is not read in ${format}; int2 … int8 are`);
  if (weights.dynamic) throw unsupported('dynamic weights are not stored');
  if (typeof symmetric !== 'boolean')
    throw new FewbitError('config', `${path}.symmetric is ${JSON.stringify(symmetric)}; use true or false.`);
  const granularity = readGranularity(path, weights);
  if (format === 'int-quantized' && (bits !== 8 || !symmetric || granularity.kind === 'group')) {
    throw unsupported('int-quantized is read as symmetric int8 with strategy channel or tensor');
  }
  if (format === 'pack-quantized' && granularity.kind === 'tensor')
    throw unsupported('pack-quantized is read with strategy channel or group');
  return {
    kind: 'int',
    bits,
    scheme: symmetric ? 'symmetric-full' : 'asymmetric',
    granularity,
    scaleType: readScaleType(weights.scale_dtype),
  };
}

/** The strategy, or what its absence means: by group_size. */
function readGranularity(path: string, { strategy, group_size: size }: Record<string, unknown>): Granularity {
  const hasSize = typeof size === 'number' && size !== -1;
  switch (strategy ?? (hasSize ? 'group' : size === -1 ? 'channel' : 'tensor')) {
    case 'tensor':
      return { kind: 'tensor' };
    case 'channel':
      return { kind: 'channel' };
    case 'group':
      if (!Number.isSafeInteger(size) || (size as number) < 1) {
        throw new FewbitError(
          'config',
          `${path}.group_size is ${JSON.stringify(size)}; strategy group needs a whole number of at least 1.`,
        );
      }
      return { kind: 'group', size: size as number };
    default:
      throw new FewbitError('unsupported', `${path}.strategy is ${JSON.stringify(strategy)}; tensor, channel and group are read.`);
  }
}

function readScaleType(dtype: unknown): IntSpec['scaleType'] {
  return dtype === 'torch.float32' ? 'F32' : dtype === 'torch.float16' ? 'F16' : 'BF16';
}

function isBits(value: unknown): value is IntSpec['bits'] {
  return Number.isInteger(value) && (value as number) >= 2 && (value as number) <= 8;
}

function strings(path: string, value: unknown): readonly string[] {
  if (!Array.isArray(value) || !value.every((entry) => typeof entry === 'string')) {
    throw new FewbitError('config', `quantization_config.${path} must be a list of strings.`);
  }
  return value;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
