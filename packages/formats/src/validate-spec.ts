import { FewbitError } from '@fewbit/core';
import type { FormatSpec, Granularity } from './types.js';

/** Throws `usage`, naming the field and what it may be, for a spec (from JSON, say) that is not one of ours. */
export function validateSpec(spec: FormatSpec): void {
  expectOneOf('kind', spec.kind, ['int']);
  expectOneOf('bits', spec.bits, [2, 3, 4, 5, 6, 7, 8]);
  expectOneOf('scheme', spec.scheme, ['symmetric-full', 'symmetric-restricted', 'symmetric-signed', 'asymmetric', 'asymmetric-free']);
  expectOneOf('scaleType', spec.scaleType, ['F32', 'F16', 'BF16']);
  validateGranularity(spec.granularity);
}

function validateGranularity(granularity: Granularity): void {
  expectOneOf('granularity.kind', granularity?.kind, ['tensor', 'channel', 'group', 'block']);
  if (granularity.kind === 'group') expectSize('granularity.size', granularity.size);
  if (granularity.kind === 'block') {
    expectSize('granularity.rows', granularity.rows);
    expectSize('granularity.cols', granularity.cols);
  }
}

function expectOneOf(field: string, value: unknown, allowed: readonly unknown[]): void {
  if (!allowed.includes(value))
    throw new FewbitError('usage', `Format ${field} is ${JSON.stringify(value)}; use one of ${allowed.join(', ')}.`);
}

function expectSize(field: string, value: unknown): void {
  if (!Number.isSafeInteger(value) || (value as number) < 1) {
    throw new FewbitError('usage', `Format ${field} is ${JSON.stringify(value)}; use a whole number of at least 1.`);
  }
}
