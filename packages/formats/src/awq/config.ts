import { FewbitError } from '@fewbit/core';
import { formatName } from '../format-name.js';
import { isSymmetric } from '../int/int-format.js';
import { integersOnly } from '../int-matrix.js';
import { isRecord } from '../is-record.js';
import { moduleNames, namesModule } from '../module-names.js';
import type { FormatSpec, IntSpec, Layout, LayoutReading } from '../types.js';

/**
 * The `quantization_config` of AWQ: one format for all modules. `zero_point` is always true, since engines have no kernels
 * for files without them; `symmetric` says that all of them are 8 (other readers look past it).
 */
export function describeConfig(modules: ReadonlyMap<string, FormatSpec>, ignored: readonly string[]): Record<string, unknown> {
  const configs = new Map([...modules.values()].map((spec) => [JSON.stringify(moduleConfig(spec)), spec]));
  const [spec, ...others] = configs.values();
  if (!spec) throw new FewbitError('usage', 'No module is quantized, so there is no quantization_config to write.');
  if (others.length > 0) {
    throw new FewbitError(
      'unsupported',
      `An AWQ checkpoint has one format, not ${formatName(spec)} beside ${formatName(others[0]!)}: use compressed-tensors.`,
    );
  }
  return {
    quant_method: 'awq',
    ...moduleConfig(spec),
    zero_point: true,
    version: 'gemm',
    modules_to_not_convert: [...new Set([...ignored, ...(modules.has('lm_head') ? [] : ['lm_head'])])],
  };
}

function moduleConfig(spec: FormatSpec) {
  const { bits, granularity, scheme } = integersOnly(spec, 'AWQ');
  return {
    bits,
    group_size: granularity.kind === 'group' ? granularity.size : -1,
    ...(isSymmetric(scheme) && { symmetric: true }),
  };
}

/** Reads a `quantization_config` of AWQ, in the words of AutoAWQ's own file too; undefined for another method's. */
export function readConfig(config: unknown, layout: Layout): LayoutReading | undefined {
  if (!isRecord(config) || config.quant_method !== 'awq') return undefined;
  const version = String(config.version ?? config.format ?? 'gemm').toLowerCase();
  if (version !== 'gemm') throw new FewbitError('unsupported', `AWQ version ${JSON.stringify(version)} is not read; gemm is.`);
  const bits = config.bits ?? config.w_bit ?? 4;
  const size = config.group_size ?? config.q_group_size ?? 128;
  if (bits !== 4) throw new FewbitError('unsupported', `AWQ with ${JSON.stringify(bits)} bits is not read; 4 bits are.`);
  if (config.zero_point === false) throw new FewbitError('unsupported', 'AWQ without zero points (zero_point: false) is not read.');
  if (!Number.isSafeInteger(size) || (size !== -1 && (size as number) < 1)) {
    throw new FewbitError(
      'config',
      `quantization_config.group_size is ${JSON.stringify(size)}; use a positive whole number, or -1 for one group per channel.`,
    );
  }
  const spec: IntSpec = {
    kind: 'int',
    bits: 4,
    scheme: config.symmetric === true ? 'symmetric-full' : 'asymmetric',
    granularity: size === -1 ? { kind: 'channel' } : { kind: 'group', size: size as number },
    scaleType: 'F16',
  };
  const skipped = moduleNames('modules_to_not_convert', config.modules_to_not_convert);
  return { layout, format: (module) => (namesModule(skipped, module) ? undefined : spec) };
}
