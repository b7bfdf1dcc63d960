/**
 * TQ1_0's codes: five base-3 digits a byte, the first element most significant, as ⌈v·256/243⌉ so that a digit falls out of the top by
 * one multiplication. 48 bytes, then 4 bytes of four digits. Source: ggml `quantize_row_tq1_0_ref`.
 */
const runs = [
  { bytes: 32, digits: 5, element: 0 },
  { bytes: 16, digits: 5, element: 160 },
  { bytes: 4, digits: 4, element: 240 },
];

export function packTrits(codes: Uint8Array, at: number, out: Uint8Array, outAt: number): void {
  let target = outAt;
  for (const { bytes, digits, element } of runs) {
    for (let l = 0; l < bytes; l++, target++) {
      let value = 0;
      for (let k = 0; k < 5; k++) value = value * 3 + (k < digits ? codes[at + element + l + k * bytes]! : 0);
      out[target] = Math.ceil((value * 256) / 243);
    }
  }
}

export function unpackTrits(bytes: Uint8Array, from: number, codes: Uint8Array, at: number): void {
  let source = from;
  for (const { bytes: count, digits, element } of runs) {
    for (let l = 0; l < count; l++, source++) {
      let rest = bytes[source]!;
      for (let k = 0; k < digits; k++) {
        codes[at + element + l + k * count] = (rest * 3) >> 8;
        rest = (rest * 3) & 255;
      }
    }
  }
}
