import { FewbitError } from '@fewbit/core';
import type { Scalar, ScalarType } from './types.js';

/** The bytes at hand end inside of `what`. */
export class Short {
  readonly what: string;
  constructor(what: string) {
    this.what = what;
  }
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** Reads little-endian values one after another from the first bytes of a file of `size` bytes. Throws `Short` at their end. */
export class ByteCursor {
  at = 0;
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #size: number;
  readonly #file: string;

  constructor(bytes: Uint8Array, size: number, file: string) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#size = size;
    this.#file = file;
  }

  error(problem: string): FewbitError {
    return new FewbitError('checkpoint', `${this.#file}: ${problem}.`);
  }

  bytes(length: number, what: string): Uint8Array {
    const from = this.#take(length, what);
    return this.#bytes.subarray(from, from + length);
  }

  /** A u64 that counts things of at least `width` bytes each, which the rest of the file must hold. */
  count(what: string, most: number, width: number): number {
    const count = this.scalar('u64', what);
    if (typeof count === 'number' && count <= most && count * width <= this.#size - this.at) return count;
    throw this.error(
      typeof count === 'number' && count <= most
        ? `${what} is ${count}, more than the ${this.#size - this.at} bytes that follow can hold`
        : `${what} is ${count}; at most ${most} is allowed`,
    );
  }

  string(what: string, most: number): string {
    const length = this.scalar('u64', `the length of ${what}`);
    if (typeof length !== 'number' || length > most) throw this.error(`the length of ${what} is ${length}; at most ${most} is allowed`);
    const bytes = this.bytes(length, what);
    try {
      return utf8.decode(bytes);
    } catch {
      throw this.error(`${what} is not UTF-8 text`);
    }
  }

  scalar(type: Exclude<ScalarType, 'string'>, what: string): Exclude<Scalar, string> {
    const view = this.#view;
    switch (type) {
      case 'u8':
        return view.getUint8(this.#take(1, what));
      case 'i8':
        return view.getInt8(this.#take(1, what));
      case 'u16':
        return view.getUint16(this.#take(2, what), true);
      case 'i16':
        return view.getInt16(this.#take(2, what), true);
      case 'u32':
        return view.getUint32(this.#take(4, what), true);
      case 'i32':
        return view.getInt32(this.#take(4, what), true);
      case 'f32':
        return view.getFloat32(this.#take(4, what), true);
      case 'u64':
        return narrowed(view.getBigUint64(this.#take(8, what), true));
      case 'i64':
        return narrowed(view.getBigInt64(this.#take(8, what), true));
      case 'f64':
        return view.getFloat64(this.#take(8, what), true);
      case 'bool': {
        const byte = view.getUint8(this.#take(1, what));
        if (byte > 1) throw this.error(`${what} is a bool of value ${byte}`);
        return byte === 1;
      }
    }
  }

  #take(length: number, what: string): number {
    const from = this.at;
    if (from + length > this.#bytes.length) throw new Short(what);
    this.at = from + length;
    return from;
  }
}

function narrowed(value: bigint): number | bigint {
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : value;
}
