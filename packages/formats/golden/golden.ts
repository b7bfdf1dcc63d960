import { readFileSync } from 'node:fs';
import type { DType, Tensor } from '@fewbit/core';
import type { IntSpec } from '../src/index.js';

/** What make-golden.py wrote. */
export const golden: Golden = JSON.parse(readFileSync(new URL('golden.json', import.meta.url), 'utf8'));

export interface Golden {
  readonly layout: readonly {
    bits: IntSpec['bits'];
    symmetric: boolean;
    strategy: 'tensor' | 'channel' | 'group';
    size: number | null;
    rows: number;
    cols: number;
    scaleType: IntSpec['scaleType'];
    codes: number[];
    zeros: number[] | null;
    scales: number[];
    tensors: Record<string, { dtype: DType; shape: number[]; hex: string }>;
    decoded: Digest;
  }[];
  readonly nearest: readonly {
    bits: IntSpec['bits'];
    symmetric: boolean;
    size: number;
    rows: number;
    cols: number;
    weight: number[];
    codes: number[];
    scales: number[];
    zeros: number[];
    decoded: Digest;
  }[];
  readonly configs: readonly {
    format: string;
    status: string;
    resolved: Record<string, { num_bits: number; symmetric: boolean; strategy: string; group_size: number | null } | null>;
  }[];
  readonly peers: Record<string, Record<string, Digest>>;
}

/** sha256 of float32 values, and the first of them. */
export interface Digest {
  readonly sha256: string;
  readonly first: readonly number[];
}

export function tensorOf({ dtype, shape, hex }: Golden['layout'][number]['tensors'][string]): Tensor {
  return { dtype, shape, data: new Uint8Array(Buffer.from(hex, 'hex')) };
}
