import { FewbitError } from '@fewbit/core';

/**
 * Typed access to a config.json. A missing field takes the fallback; a `null` does too, but for `nullable…`, where null
 * means "none" as it does in transformers. Every method throws `config` naming the field and the value found.
 */
export interface ConfigReader {
  /** A positive integer; without fallback the field is required. */
  integer(field: string, fallback?: number): number;
  /** A finite number above 0. */
  positive(field: string, fallback?: number): number;
  boolean(field: string, fallback: boolean): boolean;
  text(field: string, fallback?: string): string;
  /** A list of strings, or undefined. */
  texts(field: string): readonly string[] | undefined;
  /** Missing: `fallback`; null: undefined. */
  nullablePositive(field: string, fallback: number | undefined): number | undefined;
  /** As `nullablePositive`, for an integer of at least `least` (default 1). */
  nullableInteger(field: string, fallback: number | undefined, least?: number): number | undefined;
  /** A nested object, or undefined. */
  object(field: string): ConfigReader | undefined;
}

/** Throws `config` when `config` is not an object. `path` prefixes field names in messages. */
export function configReader(config: unknown, path = ''): ConfigReader {
  if (typeof config !== 'object' || config === null || Array.isArray(config)) {
    throw new FewbitError('config', `config.json${path && `: ${path.slice(0, -1)}`} must be an object, got ${show(config)}.`);
  }
  const fields = new Map<string, unknown>(Object.entries(config));
  const bad = (field: string, wanted: string): never => {
    const value = fields.get(field);
    const found = value === undefined ? 'it is missing' : `got ${show(value)}`;
    throw new FewbitError('config', `config.json: ${path}${field} must be ${wanted}; ${found}.`);
  };
  function read<T>(field: string, fallback: T | undefined, accepts: (value: unknown) => value is T, wanted: string): T {
    const value = fields.get(field) ?? fallback;
    return accepts(value) ? value : bad(field, wanted);
  }
  function nullable(field: string, fallback: number | undefined, accepts: (value: unknown) => value is number, wanted: string) {
    const none = fields.get(field) === null || (!fields.has(field) && fallback === undefined);
    return none ? undefined : read(field, fallback, accepts, wanted);
  }
  const nested = (field: string) => fields.get(field) ?? undefined;
  return {
    integer: (field, fallback) => read(field, fallback, isCount, 'a positive integer'),
    positive: (field, fallback) => read(field, fallback, isPositive, 'a number above 0'),
    boolean: (field, fallback) => read(field, fallback, (value) => typeof value === 'boolean', 'true or false'),
    text: (field, fallback) => read(field, fallback, (value) => typeof value === 'string', 'a string'),
    texts: (field) => (nested(field) === undefined ? undefined : read(field, undefined, isTexts, 'a list of strings')),
    nullablePositive: (field, fallback) => nullable(field, fallback, isPositive, 'a number above 0, or null'),
    nullableInteger: (field, fallback, least = 1) =>
      nullable(field, fallback, (value) => isInteger(value, least), `an integer of at least ${least}, or null`),
    object: (field) => (nested(field) === undefined ? undefined : configReader(nested(field), `${path}${field}.`)),
  };
}

/** Larger than any real size, and small enough that a product of three stays exact in double. */
const largestCount = 1e8;

const isInteger = (value: unknown, least: number): value is number =>
  Number.isInteger(value) && (value as number) >= least && (value as number) <= largestCount;
const isCount = (value: unknown): value is number => isInteger(value, 1);
const isPositive = (value: unknown): value is number => Number.isFinite(value) && (value as number) > 0;
const isTexts = (value: unknown): value is readonly string[] => Array.isArray(value) && value.every((entry) => typeof entry === 'string');
const show = (value: unknown): string => (JSON.stringify(value) ?? String(value)).slice(0, 80);
