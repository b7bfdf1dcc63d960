import { FewbitError } from '@fewbit/core';
import type { CodebookSpec, FloatSpec, FormatSpec, Granularity, IntSpec } from '@fewbit/formats';

export const granularityNames = ['tensor', 'channel', 'group', 'block'] as const;

export interface FormatChoice {
  /** One of `formatNames`. */
  readonly format: string;
  /** Inputs that share a scale (elements, of `nf4` and `fp4`); -1: one scale per output channel. Default: the format's own. */
  readonly group?: number | undefined;
  readonly granularity?: (typeof granularityNames)[number] | undefined;
  /** Integers only. Default: true at 4 and 8 bits (what the engines' fast kernels want), false below. */
  readonly symmetric?: boolean | undefined;
  /** Scales that are quantized in their turn: the absmaxes of `nf4` and `fp4` in 8 bits; scales and zero points of asymmetric integers in 3 (SpQR). Default false. */
  readonly doubleQuantization?: boolean | undefined;
}

type Flag = 'group' | 'granularity' | 'symmetric' | 'doubleQuantization';

interface Preset {
  /** Which flags it takes; another is refused. */
  readonly flags: readonly Flag[];
  create(choice: FormatChoice, scaleType: IntSpec['scaleType']): FormatSpec;
}

/** bitsandbytes' int8, which layout `bnb` holds. */
const llmInt8: IntSpec = { kind: 'int', bits: 8, scheme: 'symmetric-absmax', granularity: { kind: 'channel' }, scaleType: 'F32' };

const presets: Readonly<Record<string, Preset>> = {
  int2: integers(2),
  int3: integers(3),
  int4: integers(4),
  int5: integers(5),
  int6: integers(6),
  int7: integers(7),
  int8: integers(8),
  fp8: floats('e4m3'),
  'fp8-e5m2': floats('e5m2'),
  mxfp4: microscaled('e2m1', 32, 'E8M0'),
  mxfp8: microscaled('e4m3', 32, 'E8M0'),
  nvfp4: microscaled('e2m1', 16, 'E4M3'),
  nf4: bitsandbytes('nf4'),
  fp4: bitsandbytes('bnb-fp4'),
  'llm-int8': { flags: [], create: () => llmInt8 },
  codebook2: fitted(2),
  codebook3: fitted(3),
  codebook4: fitted(4),
  codebook5: fitted(5),
  codebook6: fitted(6),
  codebook7: fitted(7),
  codebook8: fitted(8),
};

export const formatNames: readonly string[] = Object.keys(presets);

/** A format by its command-line name. Throws `usage` for an unknown name or a combination that makes no sense. */
export function parseFormat(choice: FormatChoice, scaleType: IntSpec['scaleType']): FormatSpec {
  const { format } = choice;
  const preset = Object.hasOwn(presets, format) ? presets[format] : undefined;
  if (!preset) throw new FewbitError('usage', `Unknown format "${format}". Choose one of: ${formatNames.join(', ')}.`);
  for (const [flag, option] of Object.entries(flagNames)) {
    if (choice[flag as Flag] === undefined || preset.flags.includes(flag as Flag)) continue;
    const takes = preset.flags.map((name) => flagNames[name]).join(', ') || 'no flags';
    throw new FewbitError('usage', `Format ${format} does not take ${option}; it takes ${takes}.`);
  }
  return preset.create(choice, scaleType);
}

const flagNames: Readonly<Record<Flag, string>> = {
  group: '--group',
  granularity: '--granularity',
  symmetric: '--symmetric or --asymmetric',
  doubleQuantization: '--double-quantization',
};

function integers(bits: IntSpec['bits']): Preset {
  return {
    flags: ['group', 'granularity', 'symmetric', 'doubleQuantization'],
    create({ symmetric, doubleQuantization, ...choice }, scaleType) {
      if (doubleQuantization) return twoLevel(bits, symmetric, choice);
      return {
        kind: 'int',
        bits,
        scheme: (symmetric ?? (bits === 4 || bits === 8)) ? 'symmetric-full' : 'asymmetric',
        granularity: granularityOf(choice, { kind: 'group', size: 128 }),
        scaleType,
      };
    },
  };
}

/** SpQR's: scales and zero points of 3 bits, steps in half precision for 16 rows. */
function twoLevel(bits: IntSpec['bits'], symmetric: boolean | undefined, choice: FormatChoice): FormatSpec {
  const granularity = granularityOf(choice, { kind: 'group', size: 16 });
  if (symmetric || (granularity.kind !== 'group' && granularity.kind !== 'channel')) {
    throw new FewbitError(
      'usage',
      `Format ${choice.format} with --double-quantization has an asymmetric grid per group or channel: leave --symmetric and --granularity out.`,
    );
  }
  return { kind: 'two-level', bits, granularity, scaleBits: 3, scaleRows: 16, scaleType: 'F16' };
}

function floats(element: FloatSpec['element']): Preset {
  return {
    flags: ['group', 'granularity'],
    create: (choice, scaleType) => ({ kind: 'float', element, granularity: granularityOf(choice, { kind: 'channel' }), scaleType }),
  };
}

function microscaled(element: FloatSpec['element'], size: number, scaleType: FloatSpec['scaleType']): Preset {
  return { flags: [], create: () => ({ kind: 'float', element, granularity: { kind: 'group', size }, scaleType }) };
}

/** bitsandbytes takes its blocks from the flattened matrix. */
function bitsandbytes(levels: CodebookSpec['levels']): Preset {
  return {
    flags: ['group', 'doubleQuantization'],
    create({ format, group: size = 64, doubleQuantization }) {
      if (!blockSizes.includes(size))
        throw new FewbitError('usage', `Group size ${size} is not one of ${format}'s: ${blockSizes.join(', ')}.`);
      const nested = doubleQuantization ? { nested: true } : {};
      return { kind: 'codebook', levels, bits: 4, granularity: { kind: 'flat', size }, scaleType: 'F32', ...nested };
    },
  };
}

const blockSizes = [32, 64, 128, 256, 512, 1024, 2048, 4096];

function fitted(bits: CodebookSpec['bits']): Preset {
  return {
    flags: ['group', 'granularity'],
    create: (choice) => ({
      kind: 'codebook',
      levels: 'fitted',
      bits,
      granularity: granularityOf(choice, { kind: 'channel' }),
      scaleType: 'F16',
    }),
  };
}

function granularityOf({ granularity, group }: FormatChoice, usual: Granularity): Granularity {
  if (group !== undefined && group !== -1 && (!Number.isInteger(group) || group < 1)) {
    throw new FewbitError('usage', `Group size ${group} is neither a positive whole number nor -1 (one scale per channel).`);
  }
  switch (granularity) {
    case undefined:
      if (group === undefined) return usual;
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
