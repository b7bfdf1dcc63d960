import { FewbitError } from '@fewbit/core';
import { quote } from '../quote.js';
import type { GgufMetadata, GgufValue, Scalar, ScalarType } from './types.js';

/** Typed access to a file's metadata. Every method throws `checkpoint` naming the key and what it holds. */
export interface MetadataReader {
  /** A whole number; a list of equal ones counts as one. */
  count(key: string, fallback?: number): number;
  number(key: string): number | undefined;
  boolean(key: string): boolean | undefined;
  text(key: string): string | undefined;
  texts(key: string): readonly string[] | undefined;
  numbers(key: string): readonly number[] | undefined;
}

export function metadataReader(metadata: GgufMetadata, file: string): MetadataReader {
  const bad = (key: string, wanted: string): never => {
    const found = metadata.get(key);
    throw new FewbitError(
      'checkpoint',
      `${file}: key ${quote(key)} must be ${wanted}; ${found ? `it is ${quote(found.value)}` : 'it is missing'}.`,
    );
  };
  const read = <T extends Scalar>(key: string, accepts: (value: unknown) => value is T, wanted: string): T | undefined => {
    const found = metadata.get(key);
    if (!found) return undefined;
    return accepts(found.value) ? found.value : bad(key, wanted);
  };
  const list = <T extends Scalar>(key: string, accepts: (value: unknown) => value is T, wanted: string): readonly T[] | undefined => {
    const found = metadata.get(key);
    if (!found) return undefined;
    const { value } = found;
    return Array.isArray(value) && value.every(accepts) ? (value as T[]) : bad(key, wanted);
  };
  return {
    count(key, fallback) {
      const found = metadata.get(key)?.value ?? fallback;
      const values: readonly unknown[] = Array.isArray(found) ? found : [found];
      const first = values[0];
      if (!isCount(first)) return bad(key, 'a whole number above 0');
      if (values.some((value) => value !== first)) {
        throw new FewbitError('unsupported', `${file}: ${key} differs from layer to layer; Fewbit runs models whose layers are alike.`);
      }
      return first;
    },
    number: (key) => read(key, isNumber, 'a finite number'),
    boolean: (key) => read(key, (value): value is boolean => typeof value === 'boolean', 'a bool'),
    text: (key) => read(key, isText, 'a string'),
    texts: (key) => list(key, isText, 'an array of strings'),
    numbers: (key) => list(key, isNumber, 'an array of finite numbers'),
  };
}

const isNumber = (value: unknown): value is number => Number.isFinite(value);
const isCount = (value: unknown): value is number => Number.isInteger(value) && (value as number) > 0;
const isText = (value: unknown): value is string => typeof value === 'string';

export const scalar = (type: ScalarType, value: Scalar): GgufValue => ({ type, value });
export const list = (of: ScalarType, value: readonly Scalar[]): GgufValue => ({ type: 'array', of, value });

/** A float32's shortest decimal: 1e-5 is kept as 0.000009999999747378752. */
export function shortest(value: number): number {
  const decimal = Number(value.toPrecision(7));
  return Math.fround(decimal) === Math.fround(value) ? decimal : value;
}
