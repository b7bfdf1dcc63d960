import { FewbitError } from '@fewbit/core';
import type { FormatSpec, Granularity, IntSpec } from '@fewbit/formats';

export const formatNames = ['int2', 'int3', 'int4', 'int5', 'int6', 'int7', 'int8'] as const;
export const granularityNames = ['tensor', 'channel', 'group', 'block'] as const;

export interface FormatChoice {
  /** One of `formatNames`. */
  readonly format: string;
  /** Inputs that share a scale; -1: one scale per output channel. Default 128. */
  readonly group?: number | undefined;
  readonly granularity?: (typeof granularityNames)[number] | undefined;
  /** Default: true at 4 and 8 bits (what the engines' fast kernels want), false below. */
  readonly symmetric?: boolean | undefined;
}

/** A format by its command-line name. Throws `usage` for an unknown name or a combination that makes no sense. */
export function parseFormat(choice: FormatChoice, scaleType: IntSpec['scaleType']): FormatSpec {
  const { format, symmetric } = choice;
  if (!(formatNames as readonly string[]).includes(format)) {
    throw new FewbitError('usage', `Unknown format "${format}". Choose one of: ${formatNames.join(', ')}.`);
  }
  const bits = Number(format.slice(3)) as IntSpec['bits'];
  const scheme = (symmetric ?? (bits === 4 || bits === 8)) ? 'symmetric-full' : 'asymmetric';
  return { kind: 'int', bits, scheme, granularity: granularityOf(choice), scaleType };
}

function granularityOf({ granularity, group }: FormatChoice): Granularity {
  if (group !== undefined && group !== -1 && (!Number.isInteger(group) || group < 1)) {
    throw new FewbitError('usage', `Group size ${group} is neither a positive whole number nor -1 (one scale per channel).`);
  }
  switch (granularity) {
    case undefined:
      return group === -1 ? { kind: 'channel' } : { kind: 'group', size: group ?? 128 };
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
