import { inStrips, type Pausable } from '@fewbit/core';
import { type FormedTensor, filled, type HostMemory, holdCodes, levelsOf, type OrderedMatrix } from '@fewbit/kernels';
import * as id from './control.js';
import type { WeightForm } from './weight-form.js';

const codings = {
  nibbles: id.codingNibbles,
  bytes: id.codingBytes,
  integers: id.codingBytes,
  e4m3: id.codingE4m3,
  e5m2: id.codingE5m2,
};

/** Codes that name levels of a format without bases, as assembly/packed-levels.ts has them. */
export function* uploadLevels(memory: HostMemory, matrix: OrderedMatrix): Pausable<FormedTensor> {
  const { rows, cols, codes } = matrix;
  const { coding, span, spans, scales, ...rest } = yield* levelsOf(matrix, (levels) => Math.max(16, levels));
  const tables = rest.tables.subarray(0, coding === 'e4m3' || coding === 'e5m2' ? 0 : undefined); // arithmetic needs none
  const bits = coding === 'nibbles' ? 4 : 8;
  const spanBytes = packedBytes(span, bits);
  const rowBytes = (spans - 1) * spanBytes + packedBytes(cols - (spans - 1) * span, bits);
  const ownTables = scales ? 0 : rows * spans;
  const tableBytes = tables.byteLength / (ownTables || 1);
  let end = id.headerBytes;
  const take = (bytes: number | undefined) => {
    if (bytes === undefined) return 0;
    const at = end;
    end += Math.ceil(bytes / 16) * 16;
    return at;
  };
  const header = {
    ...{ rows, cols, span, spans, spanBytes, rowBytes, coding: codings[coding] },
    ...{ tableStride: ownTables && tableBytes, codes: take(rows * rowBytes), scales: take(scales?.byteLength) },
    tables: take(tables.byteLength),
  };
  const tensor = holdCodes(memory, matrix, end, { kind: 'levels' } satisfies WeightForm);
  const { buffer, byteOffset } = tensor.data;
  new Uint32Array(buffer, byteOffset, id.headerBytes / 4).set(Object.values(header));
  if (scales) new Float32Array(buffer, byteOffset + header.scales, scales.length).set(scales);
  const bytes = new Uint8Array(tables.buffer, 0, tables.byteLength);
  new Uint8Array(buffer, byteOffset + header.tables, bytes.length).set(bits === 4 ? inPlanes(bytes) : bytes);
  const packed = new Uint8Array(buffer, byteOffset + header.codes, rows * rowBytes);
  const packRow = (row: number) => {
    for (let place = 0; place < spans; place++) {
      const first = row * cols + place * span;
      const last = Math.min(first + span, (row + 1) * cols);
      const to = row * rowBytes + place * spanBytes;
      if (bits === 8) packed.set(codes.subarray(first, last), to);
      else packNibbles(codes, first, last, packed, to);
    }
  };
  const pack = inStrips(rows, cols, (first, end) => {
    for (let row = first; row < end; row++) packRow(row);
  });
  return yield* filled(memory, tensor, pack);
}

/** Of `count` codes, with room for sixteen at a time. */
function packedBytes(count: number, bits: 4 | 8): number {
  return Math.ceil(count / 16) * 2 * bits;
}

function packNibbles(codes: Uint8Array, first: number, last: number, packed: Uint8Array, to: number): void {
  let at = to;
  for (let i = first; i + 1 < last; i += 2) packed[at++] = codes[i]! | (codes[i + 1]! << 4);
  if ((last - first) % 2 !== 0) packed[at] = codes[last - 1]!;
}

/** Of sixteen numbers of four bytes each the first bytes, then the second ones, and so on; of the next sixteen likewise. */
function inPlanes(bytes: Uint8Array): Uint8Array {
  return bytes.map((_, at) => bytes[at - (at % 64) + (at % 16) * 4 + Math.floor((at % 64) / 16)]!);
}
