import { FewbitError } from '@fewbit/core';
import { isRecord } from '../is-record.js';
import type { ActivationSpec, FormatSpec, Layout, LayoutReading } from '../types.js';
import { rejectsKeyValues } from './activation.js';
import { containerIds, isContainer } from './containers.js';
import { readActivation, readWeights } from './read-arguments.js';
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
  const groups = readGroups(config);
  const targeted = targetMatcher([...groups.keys()]);
  const groupOf = (module: string) => {
    const target = ignored(module) === undefined ? targeted(module) : undefined;
    return target === undefined ? undefined : groups.get(target);
  };
  const keyValues = readKeyValues(config.kv_cache_scheme);
  return {
    layout,
    format: (module) => groupOf(module)?.weights,
    activation: (module) => groupOf(module)?.inputs,
    ...(keyValues && { keyValues }),
  };
}

interface Group {
  readonly weights: FormatSpec;
  readonly inputs?: ActivationSpec;
}

/** Target → group, undefined for one that leaves weights in float; a later group wins, as in compressed-tensors. */
function readGroups(config: Record<string, unknown>): ReadonlyMap<string, Group | undefined> {
  const groups = new Map<string, Group | undefined>();
  if (!isRecord(config.config_groups))
    throw new FewbitError('config', 'quantization_config.config_groups is missing; it must be an object.');
  for (const [name, group] of Object.entries(config.config_groups)) {
    if (!isRecord(group))
      throw new FewbitError('unsupported', `config_groups.${name} is a preset, not an object; write its arguments out.`);
    const read = readGroup(`config_groups.${name}`, group, group.format ?? config.format);
    for (const target of strings(`config_groups.${name}.targets`, group.targets)) groups.set(target, read);
  }
  return groups;
}

function readKeyValues(scheme: unknown): ActivationSpec | undefined {
  if (scheme === null || scheme === undefined) return undefined;
  const perHead = isRecord(scheme) && scheme.strategy === 'attn_head';
  const read = readActivation('kv_cache_scheme', perHead ? { ...scheme, strategy: 'tensor' } : scheme);
  const spec = perHead ? { ...read, perHead } : read;
  const why = rejectsKeyValues(spec);
  if (why) throw new FewbitError('unsupported', `quantization_config.kv_cache_scheme: ${why}`);
  return spec;
}

/** Parts of a config that change what the model computes and that Fewbit does not read. */
function refuseExtras(config: Record<string, unknown>): void {
  for (const key of ['sparsity_config', 'transform_config']) {
    const value = config[key];
    if (isRecord(value) && Object.keys(value).length > 0 && !isDense(key, value)) {
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

/** Older writers say so that no weight is left out. */
function isDense(key: string, value: Record<string, unknown>): boolean {
  return key === 'sparsity_config' && value.format === 'dense';
}

/** The formats of a group, or undefined where it leaves weights in float. */
function readGroup(path: string, group: Record<string, unknown>, format: unknown): Group | undefined {
  if (isRecord(group.output_activations)) {
    throw new FewbitError('unsupported', `${path} quantizes output_activations; Fewbit reads weights and input_activations.`);
  }
  if (group.weights === null || group.weights === undefined) return undefined;
  if (!isContainer(format)) {
    throw new FewbitError(
      'unsupported',
      `compressed-tensors format ${JSON.stringify(format)} is not read; ${containerIds.join(', ')} are.`,
    );
  }
  const weights = readWeights(`${path}.weights`, group.weights, format);
  if (group.input_activations === null || group.input_activations === undefined) return { weights };
  return { weights, inputs: readActivation(`${path}.input_activations`, group.input_activations) };
}

function strings(path: string, value: unknown): readonly string[] {
  if (!Array.isArray(value) || !value.every((entry) => typeof entry === 'string')) {
    throw new FewbitError('config', `quantization_config.${path} must be a list of strings.`);
  }
  return value;
}
