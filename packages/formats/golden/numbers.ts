import { readFileSync } from 'node:fs';

/** What make-numbers.py wrote. */
export const numbers: Numbers = JSON.parse(readFileSync(new URL('numbers.json', import.meta.url), 'utf8'));

/** Base64 of little-endian bytes. */
type Bytes = string;

interface Numbers {
  readonly elements: readonly { name: 'e4m3' | 'e5m2' | 'e2m1' | 'e8m0'; values: Bytes; probes: Bytes; codes: Bytes }[];
  readonly scaled: readonly {
    name: string;
    rows: number;
    cols: number;
    weight: Bytes;
    scales: Bytes;
    divisor: number | null;
    elements: Bytes;
    decoded: Bytes;
  }[];
  readonly blockwise: readonly {
    kind: 'nf4' | 'fp4';
    size: number;
    rows: number;
    cols: number;
    weight: Bytes;
    levels: Bytes;
    codes: Bytes;
    absmax: Bytes;
    decoded?: Bytes;
    offset?: number;
    nestedAbsmax?: Bytes;
    decodedAbsmax?: Bytes;
  }[];
  readonly int8: readonly { rows: number; cols: number; weight: Bytes; codes: Bytes; absmax: Bytes; decoded: Bytes }[];
  readonly int8Inputs: readonly { rows: number; cols: number; inputs: Bytes; decoded: Bytes }[];
  readonly dynamicMap: Bytes;
}

export function bytesOf(text: Bytes): Uint8Array {
  return new Uint8Array(Buffer.from(text, 'base64'));
}

export function floatsOf(text: Bytes): Float32Array {
  return new Float32Array(bytesOf(text).buffer);
}
