import { type DType, dtypeBytes, FewbitError } from '@fewbit/core';
import { isTensorName } from './is-tensor-name.js';
import { isObject, parseStrictJsonObject } from './parse-json.js';
import { quote } from './quote.js';
import type { TensorInfo } from './types.js';

/** A tensor and where it begins, in bytes from the start of the data. */
export interface PlacedTensor extends TensorInfo {
  readonly begin: number;
}

/**
 * The JSON header of a safetensors file whose data take `dataBytes`, by name, in the order of the data.
 * Throws `checkpoint` unless it describes every byte of the data exactly once.
 * Source: huggingface/safetensors, README "Format" and the checks of safetensors/src/tensor.rs.
 */
export function parseHeader(header: Uint8Array, dataBytes: number, file: string): Map<string, PlacedTensor> {
  if (header[0] !== 0x7b) throw new FewbitError('checkpoint', `${file}: the header must begin with "{": this is no safetensors file.`);
  const entries = Object.entries(parseStrictJsonObject(header, `${file}: the header`, 'checkpoint'));
  const tensors: [string, PlacedTensor][] = [];
  for (const [name, entry] of entries) {
    if (name === '__metadata__') checkMetadata(entry, file);
    else tensors.push([name, parseEntry(name, entry, file)]);
  }
  tensors.sort(([, a], [, b]) => a.begin - b.begin || a.bytes - b.bytes);
  checkCoverage(tensors, dataBytes, file);
  return new Map(tensors);
}

function checkMetadata(metadata: unknown, file: string): void {
  if (isObject(metadata) && Object.values(metadata).every((value) => typeof value === 'string')) return;
  throw new FewbitError('checkpoint', `${file}: __metadata__ must map strings to strings, got ${quote(metadata)}.`);
}

const fields = ['dtype', 'shape', 'data_offsets'];

function parseEntry(name: string, entry: unknown, file: string): PlacedTensor {
  const refuse = (problem: string): never => {
    throw new FewbitError('checkpoint', `${file}: tensor ${quote(name)}: ${problem}.`);
  };
  if (!isTensorName(name)) return refuse('this cannot be the name of a tensor');
  if (!isObject(entry)) return refuse(`must be an object, got ${quote(entry)}`);
  const { dtype, shape, data_offsets: offsets } = entry;
  for (const field of fields) if (!Object.hasOwn(entry, field)) return refuse(`has no field ${field}`);
  const extra = Object.keys(entry).find((key) => !fields.includes(key));
  if (extra !== undefined) return refuse(`has a field ${quote(extra)} that safetensors does not know`);

  if (!isDType(dtype)) return refuse(`dtype ${quote(dtype)} is not one of ${Object.keys(dtypeBytes).join(', ')}`);
  if (!isSizes(shape)) return refuse(`shape ${quote(shape)} must be a list of non-negative integers`);
  if (!isSizes(offsets) || offsets.length !== 2) return refuse(`data_offsets ${quote(offsets)} must be two non-negative integers`);
  const [begin, end] = offsets as [number, number];
  if (end < begin) return refuse(`data_offsets ${quote(offsets)} end before they begin`);
  const bytes = checkedProduct(shape, dtypeBytes[dtype]);
  if (bytes === undefined) return refuse(`shape ${quote(shape)} of ${dtype} has more bytes than any file`);
  if (bytes !== end - begin) return refuse(`shape ${quote(shape)} of ${dtype} takes ${bytes} bytes, data_offsets hold ${end - begin}`);
  return { dtype, shape, bytes, begin };
}

function isDType(value: unknown): value is DType {
  return typeof value === 'string' && Object.hasOwn(dtypeBytes, value);
}

function isSizes(value: unknown): value is number[] {
  return Array.isArray(value) && value.every((size) => Number.isSafeInteger(size) && size >= 0 && !Object.is(size, -0));
}

function checkedProduct(shape: readonly number[], width: number): number | undefined {
  let product = width;
  for (const size of shape) {
    product *= size;
    if (!Number.isSafeInteger(product)) return undefined;
  }
  return product;
}

/** No hole, no overlap, nothing left over. */
function checkCoverage(sorted: readonly (readonly [string, PlacedTensor])[], dataBytes: number, file: string): void {
  let end = 0;
  for (const [name, { begin, bytes }] of sorted) {
    if (begin !== end) {
      const problem = begin > end ? `leaves ${begin - end} bytes before it that belong to no tensor` : 'overlaps the tensor before it';
      throw new FewbitError('checkpoint', `${file}: tensor ${quote(name)} begins at ${begin}, not at ${end}: it ${problem}.`);
    }
    end = begin + bytes;
  }
  if (end === dataBytes) return;
  const problem = end > dataBytes ? 'it is truncated, or its download did not finish' : 'bytes at its end belong to no tensor';
  throw new FewbitError('checkpoint', `${file}: the tensors take ${end} bytes, the file holds ${dataBytes} of data: ${problem}.`);
}
