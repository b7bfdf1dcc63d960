import { FewbitError } from '@fewbit/core';
import { formatName } from '../format-name.js';
import { isRecord } from '../is-record.js';
import { moduleNames, namesModule } from '../module-names.js';
import type { ActivationSpec, FormatSpec, IntSpec, Layout, LayoutReading } from '../types.js';
import type { FourBitSpec } from './four-bit.js';

/** Features of which any value reaches it stay in float, unless a config says otherwise. */
const defaultThreshold = 6;

export const eightBitSpec: IntSpec = {
  kind: 'int',
  bits: 8,
  scheme: 'symmetric-absmax',
  granularity: { kind: 'channel' },
  scaleType: 'F32',
};

/** What bitsandbytes does to the inputs of an int8 layer: rounding per token to int8, but for outlier features. */
export function eightBitInputs(threshold = defaultThreshold): ActivationSpec {
  return { format: eightBitSpec, scaling: 'dynamic', ...(threshold > 0 && { outlierThreshold: threshold }) };
}

/**
 * The `quantization_config` of bitsandbytes: one format for all modules. `llm_int8_threshold` is left to its default: readers demand
 * that it is written 6.0, which JSON made by JavaScript never is.
 */
export function describeConfig(modules: ReadonlyMap<string, FormatSpec>, ignored: readonly string[]): Record<string, unknown> {
  const [spec, ...others] = new Map([...modules.values()].map((one) => [JSON.stringify(one), one])).values();
  if (!spec) throw new FewbitError('usage', 'No module is quantized, so there is no quantization_config to write.');
  if (others.length > 0) {
    throw new FewbitError(
      'unsupported',
      `A bitsandbytes checkpoint has one format, not ${formatName(spec)} beside ${formatName(others[0]!)}.`,
    );
  }
  const codebook = spec.kind === 'codebook' ? spec : undefined;
  const fourBit = codebook !== undefined;
  return {
    quant_method: 'bitsandbytes',
    _load_in_4bit: fourBit,
    _load_in_8bit: !fourBit,
    load_in_4bit: fourBit,
    load_in_8bit: !fourBit,
    ...(codebook && {
      bnb_4bit_quant_type: codebook.levels === 'nf4' ? 'nf4' : 'fp4',
      bnb_4bit_use_double_quant: codebook.nested === true,
      bnb_4bit_compute_dtype: 'float32',
      bnb_4bit_quant_storage: 'uint8',
    }),
    llm_int8_skip_modules: [...new Set([...ignored, ...(modules.has('lm_head') ? [] : ['lm_head'])])],
    llm_int8_enable_fp32_cpu_offload: false,
    llm_int8_has_fp16_weight: false,
  };
}

/** Reads a `quantization_config` of bitsandbytes; undefined for another method's. The block size stands in the tensors, not here: 64 is usual. */
export function readConfig(config: unknown, layout: Layout): LayoutReading | undefined {
  if (!isRecord(config) || config.quant_method !== 'bitsandbytes') return undefined;
  const skipped = config.llm_int8_skip_modules === null ? ['lm_head'] : moduleNames('llm_int8_skip_modules', config.llm_int8_skip_modules);
  const fourBit = (config.load_in_4bit ?? config._load_in_4bit) === true;
  const eightBit = (config.load_in_8bit ?? config._load_in_8bit) === true;
  if (fourBit === eightBit) {
    throw new FewbitError('config', 'quantization_config of bitsandbytes must set one of load_in_4bit and load_in_8bit.');
  }
  const format = fourBit ? readFourBit(config) : eightBitSpec;
  const inputs = eightBit ? eightBitInputs(readThreshold(config.llm_int8_threshold)) : undefined;
  const isSkipped = (module: string) => module === 'lm_head' || namesModule(skipped, module);
  return {
    layout,
    format: (module) => (isSkipped(module) ? undefined : format),
    activation: (module) => (isSkipped(module) ? undefined : inputs),
  };
}

function readFourBit({
  bnb_4bit_quant_type: type = 'fp4',
  bnb_4bit_use_double_quant: nested,
  bnb_4bit_quant_storage: storage = 'uint8',
}: Record<string, unknown>): FourBitSpec {
  if (type !== 'nf4' && type !== 'fp4') {
    throw new FewbitError('unsupported', `bnb_4bit_quant_type ${JSON.stringify(type)} is not read; nf4 and fp4 are.`);
  }
  if (storage !== 'uint8') throw new FewbitError('unsupported', `bnb_4bit_quant_storage ${JSON.stringify(storage)} is not read; uint8 is.`);
  return {
    kind: 'codebook',
    levels: type === 'nf4' ? 'nf4' : 'bnb-fp4',
    bits: 4,
    granularity: { kind: 'flat', size: 64 },
    scaleType: 'F32',
    ...(nested === true && { nested }),
  };
}

function readThreshold(value: unknown = defaultThreshold): number {
  if (typeof value === 'number' && value >= 0) return value;
  throw new FewbitError('config', `quantization_config.llm_int8_threshold is ${JSON.stringify(value)}; use a number of at least 0.`);
}
