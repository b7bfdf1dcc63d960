import { FewbitError } from '@fewbit/core';
import { isRecord } from '../is-record.js';
import { moduleNames, namesModule } from '../module-names.js';
import type { ActivationSpec, FloatSpec, FormatSpec, Layout, LayoutReading } from '../types.js';

type BlockSpec = FloatSpec & { readonly granularity: { readonly kind: 'block' } };

/** The `quantization_config` of block FP8: one block size for all modules. */
export function describeConfig(modules: ReadonlyMap<string, FormatSpec>, ignored: readonly string[]): Record<string, unknown> {
  const sizes = new Map([...modules.values()].map((spec) => [JSON.stringify(blockOf(spec)), blockOf(spec)]));
  const [size, ...others] = sizes.values();
  if (!size) throw new FewbitError('usage', 'No module is quantized, so there is no quantization_config to write.');
  if (others.length > 0)
    throw new FewbitError('unsupported', `An fp8 checkpoint has one block size, not ${[...sizes.keys()].join(' and ')}.`);
  return {
    quant_method: 'fp8',
    fmt: 'e4m3',
    activation_scheme: 'dynamic',
    weight_block_size: size,
    modules_to_not_convert: [...new Set([...ignored, ...(modules.has('lm_head') ? [] : ['lm_head'])])],
  };
}

function blockOf(spec: FormatSpec): readonly [number, number] {
  if (spec.kind === 'float' && spec.granularity.kind === 'block') return [spec.granularity.rows, spec.granularity.cols];
  throw new FewbitError('unsupported', 'fp8 checkpoints hold E4M3 with scales per block.');
}

/** Reads a `quantization_config` of block FP8; undefined for another method's. Throws `unsupported` for per-tensor FP8, which engines write in two ways. */
export function readConfig(config: unknown, layout: Layout, inputsOf: (spec: BlockSpec) => ActivationSpec): LayoutReading | undefined {
  if (!isRecord(config) || config.quant_method !== 'fp8') return undefined;
  const { weight_block_size: block, fmt = 'e4m3', scale_fmt = 'float', activation_scheme: scheme = 'dynamic' } = config;
  if (fmt !== 'e4m3' || scale_fmt !== 'float') {
    throw new FewbitError(
      'unsupported',
      `fp8 with fmt ${JSON.stringify(fmt)} and scale_fmt ${JSON.stringify(scale_fmt)} is not read; e4m3 with float scales is.`,
    );
  }
  if (scheme !== 'dynamic')
    throw new FewbitError('unsupported', `fp8 with activation_scheme ${JSON.stringify(scheme)} is not read; dynamic is.`);
  const [rows, cols] = Array.isArray(block) ? (block as unknown[]) : [];
  if (!isSize(rows) || !isSize(cols)) {
    throw new FewbitError('unsupported', `fp8 with weight_block_size ${JSON.stringify(block ?? null)} is not read; [rows, columns] is.`);
  }
  const format: BlockSpec = { kind: 'float', element: 'e4m3', granularity: { kind: 'block', rows, cols }, scaleType: 'F32' };
  const skipped = [
    ...moduleNames('modules_to_not_convert', config.modules_to_not_convert),
    ...moduleNames('ignored_layers', config.ignored_layers),
  ];
  const isSkipped = (module: string) => module === 'lm_head' || namesModule(skipped, module);
  const inputs = inputsOf(format);
  return {
    layout,
    format: (module) => (isSkipped(module) ? undefined : format),
    activation: (module) => (isSkipped(module) ? undefined : inputs),
  };
}

function isSize(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 1;
}
