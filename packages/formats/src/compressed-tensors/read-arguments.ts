import { FewbitError } from '@fewbit/core';
import { formatName } from '../format-name.js';
import { isRecord } from '../is-record.js';
import type { ActivationSpec, FloatSpec, FormatSpec, Granularity, IntSpec } from '../types.js';
import { type ContainerId, containerOf } from './containers.js';
import type { HeldSpec } from './held-spec.js';

/** The format that a group's `weights` arguments name. */
export function readWeights(path: string, value: unknown, container: ContainerId): FormatSpec {
  if (!isRecord(value)) throw new FewbitError('config', `${path} must be an object.`);
  if (value.dynamic) throw new FewbitError('unsupported', `${path}: dynamic weights are not stored.`);
  const spec = readFormat(path, value, 'BF16');
  const refuse = (what: string) => new FewbitError('unsupported', `${path}: ${formatName(spec)} is not read in ${container}; ${what}.`);
  if (container === 'pack-quantized') {
    const { kind } = spec.granularity;
    if (spec.kind !== 'int' || (kind !== 'group' && kind !== 'channel')) throw refuse('integers per channel or group are');
    return spec;
  }
  if (container === 'int-quantized') {
    if (spec.kind !== 'int' || spec.scheme === 'asymmetric' || spec.granularity.kind === 'block') throw refuse('symmetric integers are');
    return spec;
  }
  if (containerOf(spec) !== container) throw refuse(`that is ${containerOf(spec) ?? 'no format of compressed-tensors'}`);
  return spec;
}

/** How a group's `input_activations` arguments round. */
export function readActivation(path: string, value: unknown): ActivationSpec {
  if (!isRecord(value)) throw new FewbitError('config', `${path} must be an object.`);
  const { dynamic = false, strategy } = value;
  if (dynamic !== true && dynamic !== false && dynamic !== 'local') {
    throw new FewbitError('unsupported', `${path}.dynamic is ${JSON.stringify(dynamic)}; true, false and "local" are read.`);
  }
  const scaling = dynamic === 'local' ? 'local' : dynamic ? 'dynamic' : 'static';
  const format = readFormat(path, { ...value, strategy: strategy === 'token' ? 'channel' : strategy }, 'F32');
  if (scaling === 'static' && format.granularity.kind !== 'tensor') {
    throw new FewbitError('unsupported', `${path}: static scales are read per tensor, not per ${format.granularity.kind}.`);
  }
  const hasTensorScale = format.scaleType === 'E4M3';
  if (hasTensorScale !== (scaling === 'local')) {
    throw new FewbitError('unsupported', `${path}: ${formatName(format)} with dynamic ${JSON.stringify(dynamic)} is not read.`);
  }
  return { format, scaling };
}

function readFormat(path: string, args: Record<string, unknown>, scaleType: 'F32' | 'BF16'): HeldSpec {
  const { num_bits: bits = 8, type = 'int', symmetric = true } = args;
  if (typeof symmetric !== 'boolean')
    throw new FewbitError('config', `${path}.symmetric is ${JSON.stringify(symmetric)}; use true or false.`);
  const granularity = readGranularity(path, args);
  const scaled = scaleTypes[String(args.scale_dtype)] ?? scaleType;
  if (type === 'int' && isBits(bits) && scaled !== 'E8M0' && scaled !== 'E4M3') {
    return { kind: 'int', bits, scheme: symmetric ? 'symmetric-full' : 'asymmetric', granularity, scaleType: scaled };
  }
  if (type === 'float' && (bits === 4 || bits === 8) && symmetric) {
    const micro = bits === 4 && args.strategy === 'tensor_group' ? 'E4M3' : bits === 4 ? 'E8M0' : scaled;
    return { kind: 'float', element: bits === 4 ? 'e2m1' : 'e4m3', granularity, scaleType: micro };
  }
  const what = `${symmetric ? '' : 'asymmetric '}${String(type)}${String(bits)}`;
  throw new FewbitError('unsupported', `${path}: ${what} is not read; int2 … int8, float4 and float8 are.`);
}

/** torch dtypes of scales; others stand for the model's own. */
const scaleTypes: Readonly<Record<string, FloatSpec['scaleType'] | undefined>> = {
  'torch.float32': 'F32',
  'torch.float16': 'F16',
  'torch.bfloat16': 'BF16',
  'torch.uint8': 'E8M0',
};

/** The strategy, or what its absence means: by group_size. */
function readGranularity(path: string, { strategy, group_size: size, block_structure: block }: Record<string, unknown>): Granularity {
  const hasSize = typeof size === 'number' && size !== -1;
  switch (strategy ?? (hasSize ? 'group' : size === -1 ? 'channel' : 'tensor')) {
    case 'tensor':
      return { kind: 'tensor' };
    case 'channel':
      return { kind: 'channel' };
    case 'group':
    case 'tensor_group':
      if (!isSize(size)) {
        throw new FewbitError(
          'config',
          `${path}.group_size is ${JSON.stringify(size)}; strategy group needs a whole number of at least 1.`,
        );
      }
      return { kind: 'group', size };
    case 'block': {
      const [rows, cols] = Array.isArray(block) ? block : [];
      if (!isSize(rows) || !isSize(cols)) {
        throw new FewbitError('config', `${path}.block_structure is ${JSON.stringify(block)}; strategy block needs [rows, columns].`);
      }
      return { kind: 'block', rows, cols };
    }
    default:
      throw new FewbitError('unsupported', `${path}.strategy is ${JSON.stringify(strategy)}; tensor, channel, group and block are read.`);
  }
}

function isBits(value: unknown): value is IntSpec['bits'] {
  return Number.isInteger(value) && (value as number) >= 2 && (value as number) <= 8;
}

function isSize(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 1;
}
