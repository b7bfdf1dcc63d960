import type { Plane } from './ggml-types.js';

/** ORs the plane's bits of a block's codes into `out`, whose block begins at `outAt` and is zero so far. */
export function packPlane(plane: Plane, codes: Uint8Array, at: number, block: number, out: Uint8Array, outAt: number): void {
  const { width, perByte, bits, low } = plane;
  const mask = (1 << bits) - 1;
  let target = outAt + plane.at;
  for (let chunk = at; chunk < at + block; chunk += width * perByte) {
    for (let l = 0; l < width; l++, target++) {
      let byte = 0;
      for (let k = 0; k < perByte; k++) byte |= ((codes[chunk + k * width + l]! >> low) & mask) << (k * bits);
      out[target] = byte;
    }
  }
}

/** ORs the plane's bits of a block's bytes into its codes, which are zero so far. */
export function unpackPlane(plane: Plane, bytes: Uint8Array, from: number, codes: Uint8Array, at: number, block: number): void {
  const { width, perByte, bits, low } = plane;
  const mask = (1 << bits) - 1;
  let source = from + plane.at;
  for (let chunk = at; chunk < at + block; chunk += width * perByte) {
    for (let l = 0; l < width; l++, source++) {
      const byte = bytes[source]!;
      for (let k = 0; k < perByte; k++) codes[chunk + k * width + l]! |= ((byte >> (k * bits)) & mask) << low;
    }
  }
}
