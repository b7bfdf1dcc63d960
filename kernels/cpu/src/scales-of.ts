import { findInStrips, fromF16, type Pausable, toF16 } from '@fewbit/core';
import { type MatrixIntegers, type MatrixSteps, shortestType } from '@fewbit/kernels';
import { type ShortScales, shortScales } from './short-scales.js';

/** Scales as they lie in memory, bases as they do, and the steps under both, where they have steps. */
export interface HeldScales extends ShortScales {
  readonly bases?: ShortScales['scales'] | undefined;
  readonly steps?: MatrixSteps;
}

type Integers = Pick<MatrixIntegers, 'scales' | 'scaleType' | 'divisor' | 'steps' | 'bases' | 'levels' | 'group' | 'across'>;

/** Of `integers`: bytes under steps, where these hold every scale and base exactly; bytes by themselves, which codes that name levels may have; else floats. Pauses between strips. */
export function* scalesOf(integers: Integers): Pausable<HeldScales> {
  const { scales, scaleType, bases, levels } = integers;
  const stepped = yield* underSteps(integers);
  if (stepped) return stepped;
  if (bases) return { scales, bases, divisor: 1, scaleType: (yield* shortestType(bases)) === scaleType ? scaleType : 'F32' };
  return levels ? yield* shortScales(integers) : { scales, scaleType, divisor: 1 };
}

function* underSteps({ scales, bases, steps: find, group, across }: Integers): Pausable<HeldScales | undefined> {
  if (!find) return undefined;
  const steps = yield* find();
  const { values } = steps;
  const long = yield* findInStrips(values.length, (start, end) =>
    values.subarray(start, end).findIndex((step) => fromF16(toF16(step)) !== step),
  );
  if (long >= 0) return undefined;
  const kinds = bases ? 2 : 1;
  const perStep = steps.inputs / group;
  const perRow = Math.ceil(across / perStep) * kinds;
  /** `numbers` over the steps of their kind. */
  const quotients = function* (numbers: Float32Array, kind: number): Pausable<Int8Array | undefined> {
    const bytes = new Int8Array(numbers.length);
    const stepOf = (i: number) => values[Math.floor(i / across) * perRow + Math.floor((i % across) / perStep) * kinds + kind]!;
    const other = yield* findInStrips(numbers.length, (start, end) => {
      for (let i = start; i < end; i++) {
        const step = stepOf(i);
        bytes[i] = step === 0 ? 0 : Math.round(numbers[i]! / step);
        if (Math.fround(bytes[i]! * step) !== numbers[i]) return i - start;
      }
      return -1;
    });
    return other < 0 ? bytes : undefined;
  };
  const [ofScales, ofBases] = [yield* quotients(scales, 0), bases && (yield* quotients(bases, 1))];
  if (!ofScales || (bases && !ofBases)) return undefined;
  return { scaleType: 'I8', scales: ofScales, bases: ofBases, steps, divisor: 1 };
}
