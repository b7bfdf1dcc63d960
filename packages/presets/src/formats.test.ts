import { formatName, validateSpec } from '@fewbit/formats';
import { expect, it } from 'vitest';
import { formatNames, parseFormat } from './index.js';

const name = (choice: Parameters<typeof parseFormat>[0]) => formatName(parseFormat(choice, 'BF16'));

it('names every format, with its own granularity', () => {
  for (const format of formatNames) validateSpec(parseFormat({ format }, 'F32'));
  expect(formatNames.map((format) => name({ format }))).toEqual([
    'int2 g128 asymmetric',
    'int3 g128 asymmetric',
    'int4 g128 symmetric-full',
    'int5 g128 asymmetric',
    'int6 g128 asymmetric',
    'int7 g128 asymmetric',
    'int8 g128 symmetric-full',
    'fp8-e4m3 channel',
    'fp8-e5m2 channel',
    'mxfp4-e2m1 g32',
    'mxfp8-e4m3 g32',
    'nvfp4-e2m1 g16',
    'nf4 flat64',
    'bnb-fp4 flat64',
    'int8 channel symmetric-absmax',
    'codebook2 channel',
    'codebook3 channel',
    'codebook4 channel',
    'codebook5 channel',
    'codebook6 channel',
    'codebook7 channel',
    'codebook8 channel',
  ]);
});

it('takes flags', () => {
  expect(name({ format: 'int4', group: -1, symmetric: false })).toBe('int4 channel asymmetric');
  expect(name({ format: 'fp8', granularity: 'block' })).toBe('fp8-e4m3 block128x128');
  expect(name({ format: 'nf4', group: 128, doubleQuantization: true })).toBe('nf4 flat128 nested');
  expect(name({ format: 'int3', doubleQuantization: true })).toBe('int3 g16 two-level3x16');
  expect(name({ format: 'int4', doubleQuantization: true, group: 32, symmetric: false })).toBe('int4 g32 two-level3x16');
  expect(name({ format: 'codebook3', group: 256 })).toBe('codebook3 g256');
  expect(parseFormat({ format: 'fp8' }, 'BF16')).toMatchObject({ scaleType: 'BF16' });
});

it('refuses what a format does not take', () => {
  expect(() => name({ format: 'mxfp4', group: 64 })).toThrow('Format mxfp4 does not take --group; it takes no flags.');
  expect(() => name({ format: 'fp8', symmetric: true })).toThrow(
    'Format fp8 does not take --symmetric or --asymmetric; it takes --group, --granularity.',
  );
  expect(() => name({ format: 'codebook4', doubleQuantization: true })).toThrow(/does not take --double-quantization/);
  expect(() => name({ format: 'int4', doubleQuantization: true, symmetric: true })).toThrow(/leave --symmetric and --granularity out/);
  expect(() => name({ format: 'int4', doubleQuantization: true, granularity: 'block' })).toThrow(/an asymmetric grid per group or channel/);
  expect(() => name({ format: 'nf4', group: 48 })).toThrow("Group size 48 is not one of nf4's: 32, 64");
  expect(() => name({ format: 'constructor' })).toThrow(/Unknown format "constructor"/);
});
