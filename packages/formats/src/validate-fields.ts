import { FewbitError } from '@fewbit/core';
import type { Granularity } from './types.js';

/** Throws `usage` where `value` is not one of `allowed`. */
export function expectOneOf(field: string, value: unknown, allowed: readonly unknown[]): void {
  if (!allowed.includes(value))
    throw new FewbitError('usage', `Format ${field} is ${JSON.stringify(value)}; use one of ${allowed.join(', ')}.`);
}

/** Throws `usage` for a granularity that is not one of `kinds` or has a size below 1. */
export function expectGranularity(
  granularity: Granularity,
  kinds: readonly Granularity['kind'][] = ['tensor', 'channel', 'group', 'block', 'flat'],
): void {
  expectOneOf('granularity.kind', granularity?.kind, kinds);
  if (granularity.kind === 'group' || granularity.kind === 'flat') expectSize('granularity.size', granularity.size);
  if (granularity.kind === 'block') {
    expectSize('granularity.rows', granularity.rows);
    expectSize('granularity.cols', granularity.cols);
  }
}

/** Throws `usage` for what is no whole number of at least 1. */
export function expectSize(field: string, value: unknown): void {
  if (!Number.isSafeInteger(value) || (value as number) < 1) {
    throw new FewbitError('usage', `Format ${field} is ${JSON.stringify(value)}; use a whole number of at least 1.`);
  }
}
