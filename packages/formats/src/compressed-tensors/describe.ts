import { FewbitError } from '@fewbit/core';
import { formatName } from '../format-name.js';
import { isSymmetric } from '../int/int-format.js';
import type { ActivationSpec, DescribeOptions, FormatSpec } from '../types.js';
import { type ContainerId, containerOf } from './containers.js';
import { heldSpec } from './held-spec.js';

/**
 * The `quantization_config` of compressed-tensors. One group with the target `Linear` where all modules have one format,
 * else a group per format with the paths of its modules. `lm_head` is always ignored unless it is quantized: it is a Linear too.
 */
export function describeConfig(
  modules: ReadonlyMap<string, FormatSpec>,
  ignored: readonly string[],
  options: DescribeOptions = {},
): Record<string, unknown> {
  const groups = groupModules(modules, options);
  const formats = new Set(groups.map(({ format }) => format));
  const mixed = formats.size > 1;
  return {
    quant_method: 'compressed-tensors',
    format: mixed ? 'mixed-precision' : groups[0]!.format,
    quantization_status: 'compressed',
    global_compression_ratio: null,
    kv_cache_scheme: options.keyValues ? activationArguments(options.keyValues) : null,
    ignore: [...new Set([...ignored, ...(modules.has('lm_head') ? [] : ['lm_head'])])],
    config_groups: Object.fromEntries(
      groups.map(({ weights, input_activations, format, targets }, i) => [
        `group_${i}`,
        {
          // engines do not take a head for a Linear
          targets: groups.length === 1 ? ['Linear', ...targets.filter((module) => options.tables?.has(module))] : targets,
          weights,
          input_activations,
          output_activations: null,
          // readers guess it from the arguments of both otherwise: int4 with rounded inputs as bytes; old ones do not know the key
          ...(mixed || input_activations ? { format } : {}),
        },
      ]),
    ),
  };
}

interface Group {
  readonly weights: Record<string, unknown>;
  readonly input_activations: Record<string, unknown> | null;
  readonly format: ContainerId;
  readonly targets: string[];
}

/** Modules that a reader treats alike, in order of first appearance. */
function groupModules(modules: ReadonlyMap<string, FormatSpec>, { columnGrouped, activations }: DescribeOptions): readonly Group[] {
  if (modules.size === 0) throw new FewbitError('usage', 'No module is quantized, so there is no quantization_config to write.');
  const groups = new Map<string, Group>();
  for (const [name, spec] of modules) {
    const activation = activations?.get(name);
    const format = containerOf(spec, activation);
    if (!format) throw new FewbitError('unsupported', `compressed-tensors has no place for ${name} in ${formatName(spec)}.`);
    const weights = {
      ...argumentsOf(spec),
      dynamic: false,
      actorder: columnGrouped?.has(name) ? 'group' : null,
      observer: 'minmax',
      observer_kwargs: {},
    };
    const input_activations = activation ? activationArguments(activation) : null;
    const key = JSON.stringify([weights, input_activations, format]);
    const group = groups.get(key) ?? { weights, input_activations, format, targets: [] as string[] };
    group.targets.push(name);
    groups.set(key, group);
  }
  return [...groups.values()];
}

function activationArguments({ format, scaling, perHead }: ActivationSpec): Record<string, unknown> {
  const { strategy, ...rest } = argumentsOf(format);
  return {
    ...rest,
    strategy: perHead ? 'attn_head' : strategy === 'channel' ? 'token' : strategy,
    dynamic: scaling === 'local' ? 'local' : scaling === 'dynamic',
    actorder: null,
    observer: scaling === 'dynamic' ? null : 'minmax',
    observer_kwargs: {},
  };
}

/** Only keys that `QuantizationArgs` knows: it forbids others. Old readers do not know `scale_dtype`: it stands only where it is needed. */
function argumentsOf(format: FormatSpec): Record<string, unknown> {
  const spec = heldSpec(format);
  const { granularity } = spec;
  return {
    num_bits: spec.kind === 'int' ? spec.bits : spec.element === 'e2m1' ? 4 : 8,
    type: spec.kind,
    symmetric: spec.kind === 'float' || isSymmetric(spec.scheme),
    strategy: spec.scaleType === 'E4M3' ? 'tensor_group' : granularity.kind,
    group_size: granularity.kind === 'group' ? granularity.size : null,
    block_structure: granularity.kind === 'block' ? [granularity.rows, granularity.cols] : null,
    ...(spec.scaleType === 'E8M0' && { scale_dtype: 'torch.uint8', zp_dtype: 'torch.uint8' }),
  };
}
