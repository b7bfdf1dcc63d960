import type { DeclaredTensor } from './gguf-header.js';

/** `general.file_type` (llama_ftype): which types a file is mostly made of. Informative; readers go by each tensor's own type. */
export function fileType(tensors: readonly DeclaredTensor[]): number {
  const bytes = new Map<string, number>();
  for (const { name, type, shape, bytes: size } of tensors) {
    if (shape.length === 2 && name.startsWith('blk.')) bytes.set(type, (bytes.get(type) ?? 0) + size);
  }
  const [most = 'F32'] = [...bytes].sort((a, b) => b[1] - a[1]).map(([type]) => type);
  const plain = plainTypes[most];
  if (plain !== undefined) return plain;
  const mixed = mixes[most];
  if (!mixed) return 0;
  return bytes.has(mixed.medium) ? mixed.m : mixed.s;
}

const plainTypes: Readonly<Record<string, number>> = {
  F32: 0,
  F16: 1,
  q4_0: 2,
  q4_1: 3,
  q8_0: 7,
  q5_0: 8,
  q5_1: 9,
  q2_k: 10,
  q6_k: 18,
  iq4_nl: 25,
  iq4_xs: 30,
  BF16: 32,
  tq1_0: 36,
  tq2_0: 37,
  mxfp4: 38,
};

/** Small and medium mixes; the medium one has this type too. */
const mixes: Readonly<Record<string, { s: number; m: number; medium: string }>> = {
  q3_k: { s: 11, m: 12, medium: 'q4_k' },
  q4_k: { s: 14, m: 15, medium: 'q6_k' },
  q5_k: { s: 16, m: 17, medium: 'q6_k' },
};
