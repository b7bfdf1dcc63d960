import { FewbitError } from '@fewbit/core';
import type { FormatSpec, Granularity, IntSpec } from '@fewbit/formats';

export const granularityNames = ['tensor', 'channel', 'group', 'block'] as const;

export interface FormatChoice {
  /** One of `formatNames`. */
  readonly format: string;
  /** Inputs that share a scale; -1: one scale per output channel. Default: the format's own, 128 for integers. */
  readonly group?: number | undefined;
  /** Default: the format's own, group for integers and channel for FP8. */
  readonly granularity?: (typeof granularityNames)[number] | undefined;
  /** Of integers; default: true at 4 and 8 bits (what the engines' fast kernels want), false below. */
  readonly symmetric?: boolean | undefined;
}

type Parse = (choice: FormatChoice, scaleType: IntSpec['scaleType']) => FormatSpec;

/** The formats by their command-line names. */
const formats: Readonly<Record<string, Parse>> = {
  ...Object.fromEntries(([2, 3, 4, 5, 6, 7, 8] as const).map((bits) => [`int${bits}`, integers(bits)])),
  fp8: floats('e4m3'),
  'fp8-e5m2': floats('e5m2'),
  mxfp4: fixed({ kind: 'float', element: 'e2m1', granularity: { kind: 'group', size: 32 }, scaleType: 'E8M0' }),
  mxfp8: fixed({ kind: 'float', element: 'e4m3', granularity: { kind: 'group', size: 32 }, scaleType: 'E8M0' }),
  nvfp4: fixed({ kind: 'float', element: 'e2m1', granularity: { kind: 'group', size: 16 }, scaleType: 'E4M3' }),
};

export const formatNames: readonly string[] = Object.keys(formats);

/** A format by its command-line name. Throws `usage` for an unknown name or a combination that makes no sense. */
export function parseFormat(choice: FormatChoice, scaleType: IntSpec['scaleType']): FormatSpec {
  const parse = Object.hasOwn(formats, choice.format) ? formats[choice.format] : undefined;
  if (!parse) throw new FewbitError('usage', `Unknown format "${choice.format}". Choose one of: ${formatNames.join(', ')}.`);
  return parse(choice, scaleType);
}

function integers(bits: IntSpec['bits']): Parse {
  return (choice, scaleType) => {
    const symmetric = choice.symmetric ?? (bits === 4 || bits === 8);
    const granularity = granularityOf(choice, { kind: 'group', size: 128 });
    return { kind: 'int', bits, scheme: symmetric ? 'symmetric-full' : 'asymmetric', granularity, scaleType };
  };
}

function floats(element: 'e4m3' | 'e5m2'): Parse {
  return (choice, scaleType) => {
    refuseSymmetry(choice);
    return { kind: 'float', element, granularity: granularityOf(choice, { kind: 'channel' }), scaleType };
  };
}

/** A format that leaves nothing to choose. */
function fixed(spec: FormatSpec): Parse {
  return (choice) => {
    refuseSymmetry(choice);
    if (choice.group === undefined && choice.granularity === undefined) return spec;
    throw new FewbitError('usage', `Format ${choice.format} has its own groups: leave --group and --granularity out.`);
  };
}

function refuseSymmetry({ format, symmetric }: FormatChoice): void {
  if (symmetric === undefined) return;
  throw new FewbitError('usage', `Format ${format} has no zero points: leave --symmetric and --asymmetric out.`);
}

function granularityOf({ granularity, group }: FormatChoice, own: Granularity): Granularity {
  if (group !== undefined && group !== -1 && (!Number.isInteger(group) || group < 1)) {
    throw new FewbitError('usage', `Group size ${group} is neither a positive whole number nor -1 (one scale per channel).`);
  }
  switch (granularity) {
    case undefined:
      if (group === undefined) return own;
      return group === -1 ? { kind: 'channel' } : { kind: 'group', size: group };
    case 'group':
      if (group === -1) throw new FewbitError('usage', 'Group -1 means one scale per channel: leave --granularity out, or say channel.');
      return { kind: 'group', size: group ?? 128 };
    case 'block':
      return { kind: 'block', rows: group ?? 128, cols: group ?? 128 };
    case 'tensor':
    case 'channel':
      if (group !== undefined && group !== -1) {
        throw new FewbitError('usage', `Granularity ${granularity} has no groups: leave --group ${group} out.`);
      }
      return { kind: granularity };
    default:
      throw new FewbitError('usage', `Unknown granularity "${granularity}". Choose one of: ${granularityNames.join(', ')}.`);
  }
}
