import { FewbitError } from '@fewbit/core';
import { isRecord } from '../is-record.js';
import type { ActivationSpec, DescribeOptions, FormatSpec, Layout, LayoutReading } from '../types.js';
import { validateSpec } from '../validate-spec.js';

const version = 1;

/** The `quantization_config` of Fewbit's own layout: every module by its path. Modules that are not there are stored in float. */
export function describeConfig(
  modules: ReadonlyMap<string, FormatSpec>,
  _ignored: readonly string[],
  { activations, keyValues }: DescribeOptions = {},
): Record<string, unknown> {
  const formats = numbered([...modules.values()]);
  const inputs = numbered([...(activations?.values() ?? [])]);
  const entries = [...modules].map(([module, spec]) => {
    const activation = activations?.get(module);
    return [module, { format: formats.place(spec), ...(activation && { activation: inputs.place(activation) }) }];
  });
  return {
    quant_method: 'fewbit',
    version,
    formats: formats.list,
    activations: inputs.list,
    ...(keyValues && { keyValues }),
    modules: Object.fromEntries(entries),
  };
}

/** The different ones of `values`, and where each stands among them. */
function numbered<T>(values: readonly T[]): { list: readonly T[]; place(value: T): number } {
  const places = new Map<string, number>();
  const list: T[] = [];
  for (const value of values) {
    const key = JSON.stringify(value);
    if (!places.has(key)) places.set(key, list.push(value) - 1);
  }
  return { list, place: (value) => places.get(JSON.stringify(value))! };
}

export function readConfig(config: unknown, layout: Layout): LayoutReading | undefined {
  if (!isRecord(config) || config.quant_method !== 'fewbit') return undefined;
  if (config.version !== version) {
    throw new FewbitError(
      'unsupported',
      `Layout fewbit of version ${JSON.stringify(config.version)} is not read; ${version} is: update Fewbit.`,
    );
  }
  const formats = list(config, 'formats').map((spec) => checked('formats', spec as FormatSpec));
  const activations = list(config, 'activations').map((activation) => readActivation(activation));
  if (!isRecord(config.modules)) throw new FewbitError('config', 'quantization_config.modules must be an object of module paths.');
  const modules = new Map(Object.entries(config.modules));
  const pick = <T>(module: string, key: 'format' | 'activation', from: readonly T[]): T | undefined => {
    const entry = modules.get(module);
    const place = isRecord(entry) ? entry[key] : undefined;
    if (place === undefined && (key === 'activation' || entry === undefined)) return undefined;
    const found = from[place as number];
    if (found !== undefined) return found;
    throw new FewbitError(
      'config',
      `quantization_config.modules["${module}"].${key} is ${JSON.stringify(place)}; ${from.length} are listed.`,
    );
  };
  return {
    layout,
    format: (module) => pick(module, 'format', formats),
    activation: (module) => pick(module, 'activation', activations),
    ...(config.keyValues !== undefined && { keyValues: readActivation(config.keyValues, 'keyValues') }),
  };
}

function readActivation(value: unknown, key = 'activations'): ActivationSpec {
  const { format, scaling, outlierThreshold: threshold, perHead } = isRecord(value) ? value : {};
  if (scaling !== 'dynamic' && scaling !== 'static') {
    throw new FewbitError('config', `quantization_config.${key}: scaling is ${JSON.stringify(scaling)}; use dynamic or static.`);
  }
  if (threshold !== undefined && (typeof threshold !== 'number' || !(threshold > 0))) {
    throw new FewbitError('config', `quantization_config.${key}: outlierThreshold is ${JSON.stringify(threshold)}; use a positive number.`);
  }
  if (perHead !== undefined && (perHead !== true || key !== 'keyValues' || scaling !== 'static')) {
    throw new FewbitError(
      'config',
      `quantization_config.${key}: perHead is ${JSON.stringify(perHead)}; static keys and values may have true.`,
    );
  }
  return {
    ...{ format: checked(key, format as FormatSpec), scaling },
    ...(threshold !== undefined && { outlierThreshold: threshold }),
    ...(perHead && { perHead }),
  };
}

/** A spec from JSON. A bad one is a bad config here, not a wrong argument. */
function checked(key: string, spec: FormatSpec): FormatSpec {
  try {
    validateSpec(spec);
    return spec;
  } catch (cause) {
    throw new FewbitError('config', `quantization_config.${key}: ${(cause as Error).message}`, { cause });
  }
}

function list(config: Record<string, unknown>, key: string): readonly unknown[] {
  const value = config[key];
  if (Array.isArray(value)) return value;
  throw new FewbitError('config', `quantization_config.${key} must be a list.`);
}
