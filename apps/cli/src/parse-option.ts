import { FewbitError } from '@fewbit/core';
import { InvalidArgumentError } from 'commander';

export function positiveInteger(text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < 1) throw new InvalidArgumentError(`${text} is not a positive whole number.`);
  return value;
}

export function wholeNumber(text: string): number {
  const value = Number(text);
  if (text.trim() === '' || !Number.isSafeInteger(value)) throw new InvalidArgumentError(`${text} is not a whole number.`);
  return value;
}

export function nonNegative(text: string): number {
  const value = Number(text);
  if (text.trim() === '' || !(value >= 0) || !Number.isFinite(value))
    throw new InvalidArgumentError(`${text} is not a number of 0 or more.`);
  return value;
}

/** A probability in (0, 1]. */
export function probability(text: string): number {
  const value = Number(text);
  if (!(value > 0 && value <= 1)) throw new InvalidArgumentError(`${text} is not in (0, 1].`);
  return value;
}

/** `8GB`, `1.5GiB`: bytes. */
export function byteSize(text: string): number {
  const [, number, step = '', binary] = /^(\d+(?:\.\d+)?) ?(?:([kKMGT])(i)?)?B$/.exec(text) ?? [];
  const bytes = Math.floor(Number(number) * (binary ? 1024 : 1000) ** ['', 'K', 'M', 'G', 'T'].indexOf(step.toUpperCase()));
  if (!(bytes >= 1)) throw new InvalidArgumentError(`${text} is no size, such as 8GB (powers of 1000) or 7.5GiB (of 1024).`);
  return bytes;
}

/** `0.5%` or `0.005`. */
export function share(text: string): number {
  const percent = text.endsWith('%');
  const number = percent ? text.slice(0, -1) : text;
  const value = Number(number) / (percent ? 100 : 1);
  if (number.trim() === '' || !(value >= 0 && value <= 1)) throw new InvalidArgumentError(`${text} is no share, such as 0.5% or 0.005.`);
  return value;
}

export function jsonObject(text: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
  } catch {
    // said below
  }
  throw new InvalidArgumentError(`${text} is not a JSON object.`);
}

/** `chosen`, or the default; throws `usage` with the choices. */
export function oneOf<T extends string>(what: string, choices: readonly T[], chosen: string): T {
  const found = choices.find((choice) => choice === chosen);
  if (!found) throw new FewbitError('usage', `Unknown ${what} "${chosen}". Choose one of: ${choices.join(', ')}.`);
  return found;
}
