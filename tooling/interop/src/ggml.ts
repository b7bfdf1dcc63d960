import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { atOnce, type Matrix } from '@fewbit/core';
import { type GgmlTypeName, ggmlType, gguf, type QuantizedMatrix } from '@fewbit/formats';
import { llamaCppLibraries } from './llama-cpp-libraries.js';
import { python } from './transformers.js';

const library = join(llamaCppLibraries, 'libggml-base.so');

/** Whether there is a libggml here, and a Python to call it. */
export const hasGgml = python !== undefined && existsSync(library);

/** Numbers of ggml's types (`enum ggml_type`). */
const numbers: Readonly<Record<GgmlTypeName, number>> = {
  ...{ q4_0: 2, q4_1: 3, q5_0: 6, q5_1: 7, q8_0: 8, q2_k: 10, q3_k: 11, q4_k: 12, q5_k: 13, q6_k: 14 },
  ...{ iq4_nl: 20, iq4_xs: 23, tq1_0: 34, tq2_0: 35, mxfp4: 39 },
};

/** What libggml's own quantizer makes of a matrix, by importance of its inputs where it is given. Files are put into `folder`. */
export function quantizeWithGgml(
  { rows, cols, data }: Matrix,
  type: GgmlTypeName,
  folder: string,
  importance?: Float32Array,
): QuantizedMatrix {
  const script = fileURLToPath(new URL('../quantize_with_ggml.py', import.meta.url));
  const [values, blocks, weights] = ['values', 'blocks', 'importance'].map((name) => join(folder, name)) as [string, string, string];
  writeFileSync(values, data);
  if (importance) writeFileSync(weights, importance);
  const numeric = [numbers[type], rows, cols].map(String);
  execFileSync(python!, [script, library, ...numeric, values, blocks, ...(importance ? [weights] : [])]);
  const { block, bytes } = ggmlType(type);
  const tensor = { dtype: 'U8', shape: [rows, (cols / block) * bytes], data: new Uint8Array(readFileSync(blocks)) } as const;
  return atOnce(gguf.unpack(new Map([[`weight.${type}`, tensor]]), { kind: 'ggml', type }, rows, cols));
}
