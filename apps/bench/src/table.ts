import Table from 'cli-table3';
import type { Machine } from './documents.js';

/** A plain table: names to the left, numbers to the right. */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const drawn = new Table({
    head: [...head],
    colAligns: head.map((_, i) => (i === 0 ? 'left' : 'right')),
    style: { head: [], border: [], compact: true },
  });
  drawn.push(...rows.map((row) => [...row]));
  return `${drawn.toString()}\n`;
}

/** Three significant digits, never as a power of ten. */
export function figure(value: number): string {
  return value >= 100 ? value.toFixed(0) : Number(value.toPrecision(3)).toString();
}

export const percent = (fraction: number) => `${figure(100 * fraction)} %`;
export const gigabytes = (bytes: number) => `${figure(bytes / 1e9)} GB`;
/** A dash where nothing was measured. */
export const orDash = <T>(value: T | undefined, show: (value: T) => string) => (value === undefined ? '–' : show(value));

export function describeMachine({ cpu, threads, readBandwidth, gemmPeak, integerPeak, measuredBy }: Machine, rounds: number): string {
  return [
    `${cpu}, ${threads} thread${threads === 1 ? '' : 's'}: reads ${figure(readBandwidth)} GB/s, multiplies ${figure(gemmPeak)} GFLOP/s in float32${integerPeak ? ` and ${figure(integerPeak)} in int8` : ''}`,
    `(medians of ${rounds} rounds in turns; limits by ${measuredBy})\n`,
  ].join('\n');
}
