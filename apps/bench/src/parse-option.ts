import { FewbitError } from '@fewbit/core';
import { InvalidArgumentError } from 'commander';

export function positiveInteger(text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < 1) throw new InvalidArgumentError(`${text} is not a positive whole number.`);
  return value;
}

/** A positive whole number, or -1: one scale per output channel. */
export function groupSize(text: string): number {
  return text === '-1' ? -1 : positiveInteger(text);
}

export const groupSizes = (text: string) => list(text).map(groupSize);

/** Shares of a whole: `0,0.5%,0.01`. */
export const shares = (text: string) =>
  list(text).map((item) => {
    const value = item.endsWith('%') ? Number(item.slice(0, -1)) / 100 : Number(item);
    if (item === '' || !(value >= 0 && value <= 1)) throw new InvalidArgumentError(`${item} is no share, such as 0.5% or 0.005.`);
    return value;
  });

/** `a,b,c` */
export function list(text: string): readonly string[] {
  return text.split(',').map((item) => item.trim());
}

/** The entry of a table that a flag names. Throws `usage` with the choices. */
export function choose<T>(flag: string, choices: Readonly<Record<string, T>>, chosen: string): T {
  if (!Object.hasOwn(choices, chosen)) {
    throw new FewbitError('usage', `${flag} ${chosen} is unknown. Choose one of: ${Object.keys(choices).join(', ')}.`);
  }
  return choices[chosen]!;
}

/** By the names that flags take. */
export const activationPrecisions = { int16: 'int16', int8: 'int8', f32: 'f32' } as const;
