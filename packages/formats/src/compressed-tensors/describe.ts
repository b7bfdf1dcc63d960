import { FewbitError } from '@fewbit/core';
import { isSymmetric } from '../int/int-format.js';
import type { FormatSpec, IntSpec } from '../types.js';

/**
 * The `quantization_config` of compressed-tensors. One group with the target `Linear` where all modules have one format,
 * else a group per format with the paths of its modules. `lm_head` is always ignored unless it is quantized: it is a Linear too.
 */
export function describeConfig(
  modules: ReadonlyMap<string, FormatSpec>,
  ignored: readonly string[],
  columnGrouped: ReadonlySet<string> = new Set(),
): Record<string, unknown> {
  const groups = groupModules(modules, columnGrouped);
  const formats = new Set(groups.map(({ format }) => format));
  const mixed = formats.size > 1;
  return {
    quant_method: 'compressed-tensors',
    format: mixed ? 'mixed-precision' : groups[0]!.format,
    quantization_status: 'compressed',
    global_compression_ratio: null,
    kv_cache_scheme: null,
    ignore: [...new Set([...ignored, ...(modules.has('lm_head') ? [] : ['lm_head'])])],
    config_groups: Object.fromEntries(
      groups.map(({ weights, format, targets }, i) => [
        `group_${i}`,
        {
          targets: groups.length === 1 ? ['Linear'] : targets,
          weights,
          input_activations: null,
          output_activations: null,
          ...(mixed ? { format } : {}),
        },
      ]),
    ),
  };
}

interface Group {
  readonly weights: Record<string, unknown>;
  readonly format: 'pack-quantized' | 'int-quantized';
  readonly targets: string[];
}

/** Modules that a reader treats alike, in order of first appearance. */
function groupModules(modules: ReadonlyMap<string, FormatSpec>, columnGrouped: ReadonlySet<string>): readonly Group[] {
  if (modules.size === 0) throw new FewbitError('usage', 'No module is quantized, so there is no quantization_config to write.');
  const groups = new Map<string, Group>();
  for (const [name, spec] of modules) {
    if (spec.kind !== 'int')
      throw new FewbitError('unsupported', `compressed-tensors files of ${spec.kind} formats are not written: ${name}.`);
    const weights = weightArguments(spec, columnGrouped.has(name));
    const key = JSON.stringify(weights);
    const group = groups.get(key) ?? {
      weights,
      format: spec.granularity.kind === 'tensor' ? 'int-quantized' : 'pack-quantized',
      targets: [],
    };
    group.targets.push(name);
    groups.set(key, group);
  }
  return [...groups.values()];
}

/** Only keys that `QuantizationArgs` knows: it forbids others. */
function weightArguments(spec: IntSpec, columnGrouped: boolean): Record<string, unknown> {
  const { granularity } = spec;
  return {
    num_bits: spec.bits,
    type: 'int',
    symmetric: isSymmetric(spec.scheme),
    strategy: granularity.kind,
    group_size: granularity.kind === 'group' ? granularity.size : null,
    block_structure: null,
    dynamic: false,
    actorder: columnGrouped ? 'group' : null,
    observer: 'minmax',
    observer_kwargs: {},
  };
}
