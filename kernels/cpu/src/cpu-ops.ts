import { FewbitError } from '@fewbit/core';
import {
  commonPageShape,
  type DeviceTensor,
  drawNumbers,
  type HostMemory,
  type HostTensor,
  isPage,
  type Ops,
  type PageTensor,
  pageNumbers,
  pageShapeOf,
  referenceOps,
  roundingNumbers,
  roundingParts,
} from '@fewbit/kernels';
import { activationIds } from './addon.js';
import type { CommandQueue } from './command-queue.js';
import type { NativeArray } from './native-heap.js';
import type { FloatForm, WeightForm } from './weight-form.js';

/** The op table over a queue of commands. Operands are looked up before the result is made, so that an op that throws leaves nothing behind. */
export function cpuOps(queue: CommandQueue, { allocate, read, find, findAny, free }: HostMemory<NativeArray>): Ops {
  const reference = referenceOps({ allocate, read });
  const addressOf = (tensor: DeviceTensor) => find(tensor).data.address;
  const columnsOf = (tensor: DeviceTensor) => tensor.shape.at(-1)!;
  const countOf = (tensor: DeviceTensor) => find(tensor).data.length;
  const weightOf = (tensor: DeviceTensor) => {
    const weight = findAny(tensor) as PageTensor<NativeArray>;
    if (!isPage(weight.form)) return weight as HostTensor<NativeArray> & { readonly form?: WeightForm };
    throw new FewbitError('usage', `A page of shape [${tensor.shape.join(', ')}] of a KV cache is no weight.`);
  };
  const pagesOf = (tensors: readonly DeviceTensor[], headSize: number) => {
    const held = tensors.map((tensor) => findAny(tensor) as PageTensor<NativeArray>);
    return { shape: pageNumbers(commonPageShape(held, headSize)), addresses: held.map(({ data }) => data.address) };
  };
  /** A function of each value of x by itself. */
  const mapped = (command: 'scale' | 'activate' | 'softcap', x: DeviceTensor, operand: number) => {
    const from = addressOf(x);
    const out = allocate(x.shape);
    queue.push(command, [from, out.data.address, out.data.length, operand]);
    return out;
  };
  /** `count` values from place `first` of each of `rows` rows of x. */
  const copied = (x: DeviceTensor, first: number, rows: number, count: number) => {
    const from = addressOf(x);
    const out = allocate([rows, count]);
    queue.push('copyRows', [from, first, columnsOf(x), out.data.address, 0, count, rows, count]);
    return out;
  };
  /** Rows of a table of floats; of a mapped one a few at a time, since the system takes as much as a megabyte of the file into memory with a row. */
  const pickFloats = (form: FloatForm | undefined, [table, out]: [number, number], cols: number, tokens: Uint32Array) => {
    const together = form?.map ? 16 : tokens.length;
    for (let at = 0; at < tokens.length; at += together) {
      const indices = tokens.subarray(at, at + together);
      queue.push(form?.kind === 'bf16' ? 'widenRows' : 'pickRows', [table, out + at * cols * 4], [cols], indices);
      if (form?.map) queue.push('discardPages', [form.map.address, form.map.bytes]);
    }
  };
  /** Columns of `from` in the order in which a weight has them, or back. */
  const permute = (from: HostTensor<NativeArray>, to: HostTensor<NativeArray>, order: number, back: boolean) => {
    const [rows, cols] = from.shape as [number, number];
    queue.push('permuteColumns', [from.data.address, order, to.data.address, rows, cols, back]);
  };
  return {
    embed(table, tokens) {
      const { data, form } = weightOf(table);
      const out = allocate([tokens.length, columnsOf(table)]);
      const order = orderOf(data, form);
      const rows = order === undefined ? out : allocate(out.shape);
      const operands: [number, number] = [data.address, rows.data.address];
      if (form?.kind === 'codes') queue.push('unpackRows', operands, form.shape, tokens);
      else if (form?.kind === 'levels') queue.push('unpackLevels', operands, form.shape, tokens);
      else pickFloats(form, operands, columnsOf(table), tokens);
      const entries = outliersOf(data, form);
      if (entries) queue.push('putEntries', [...entries.values, out.data.address, columnsOf(table)], undefined, tokens);
      if (order === undefined) return out;
      permute(rows, out, order, true);
      free(rows);
      return out;
    },

    matmul(x, w, bias) {
      const [m, k, n] = [x.shape[0]!, x.shape[1]!, w.shape[0]!];
      const { data, form } = weightOf(w);
      const order = orderOf(data, form);
      const added = bias ? addressOf(bias) : 0;
      const input = order === undefined ? find(x) : allocate(x.shape);
      if (order !== undefined) permute(find(x), input, order, false);
      const operands = [input.data.address, data.address, added];
      const out = allocate([m, n]);
      operands.push(out.data.address, m);
      if (form?.kind === 'codes') queue.push('matmulQuantized', operands, form.shape);
      else if (form?.kind === 'levels') queue.push('matmulLevels', operands, form.shape);
      else queue.push(form?.kind === 'bf16' ? 'matmulShort' : 'matmul', operands, [k, n]);
      const entries = outliersOf(data, form);
      if (entries) queue.push('addSparse', [operands[0]!, ...entries.differences, out.data.address, m, k, n]);
      if (order !== undefined) free(input);
      return out;
    },

    add(a, b) {
      const [left, right, count, n] = [addressOf(a), addressOf(b), countOf(a), columnsOf(a)];
      const out = allocate(a.shape);
      queue.push('add', [left, right, out.data.address, count / n, n, countOf(b) !== count]);
      return out;
    },

    scale: (x, by) => mapped('scale', x, by),

    rmsNorm(x, gain, epsilon, gainOffset) {
      const [from, gains, n] = [addressOf(x), addressOf(gain), countOf(gain)];
      const out = allocate(x.shape);
      queue.push('rmsNorm', [from, gains, out.data.address, out.data.length / n, n, epsilon, gainOffset]);
      return out;
    },

    layerNorm(x, gain, bias, epsilon) {
      const [from, gains, biases, n] = [addressOf(x), addressOf(gain), addressOf(bias), countOf(gain)];
      const out = allocate(x.shape);
      queue.push('layerNorm', [from, gains, biases, out.data.address, out.data.length / n, n, epsilon]);
      return out;
    },

    rotate(x, headSize, { frequencies, amplitude }, start) {
      const [m, width] = [x.shape[0]!, x.shape[1]!];
      const from = addressOf(x);
      const out = allocate(x.shape);
      queue.push('rotate', [from, out.data.address, m, width, headSize, amplitude, start], undefined, frequencies);
      return out;
    },

    attention(q, k, v, { heads, keyValueHeads, headSize, scale, start, window = 0, softcap = 0 }) {
      const queries = addressOf(q);
      const [keys, values] = [pagesOf(k, headSize), pagesOf(v, headSize)];
      const out = allocate(q.shape);
      const sizes = [
        q.shape[0]!,
        heads,
        keyValueHeads,
        headSize,
        start,
        window,
        k[0]!.shape[0]!,
        scale,
        softcap,
        ...keys.shape,
        ...values.shape,
      ];
      queue.push('attention', [queries, out.data.address, ...sizes, k.length], [...keys.addresses, ...values.addresses]);
      return out;
    },

    gated(gate, up, activation) {
      const [gates, ups] = [addressOf(gate), addressOf(up)];
      const out = allocate(gate.shape);
      queue.push('gated', [gates, ups, out.data.address, out.data.length, activationIds[activation]]);
      return out;
    },

    activate: (x, activation) => mapped('activate', x, activationIds[activation]),
    softcap: (x, cap) => mapped('softcap', x, cap),

    columns: (x, start, count) => copied(x, start, x.shape[0]!, count),
    rows: (x, start, count) => copied(x, start * columnsOf(x), count, columnsOf(x)),

    store(cache, rows, start) {
      const page = findAny(cache) as PageTensor<NativeArray>;
      const [from, m, n] = [addressOf(rows), rows.shape[0]!, columnsOf(cache)];
      const shape = pageShapeOf(page);
      if (!page.form) queue.push('copyRows', [from, 0, n, page.data.address, start * n, n, m, n]);
      else queue.push('storePage', [from, page.data.address, start, m, ...pageNumbers(shape)], roundingNumbers(shape.rounding));
    },

    roundActivations(x, rounding) {
      const [m, k] = [x.shape[0]!, x.shape[1]!];
      const parts = roundingParts(rounding, k);
      if (!parts) return reference.roundActivations(x, rounding);
      const from = addressOf(x);
      const out = allocate(x.shape);
      for (const { first, count, shape } of parts) {
        queue.push('roundActivations', [from + first * 4, out.data.address + first * 4, m, count, k], roundingNumbers(shape));
      }
      return out;
    },

    crossEntropy(logits, targets) {
      const [m, n] = [logits.shape[0]!, logits.shape[1]!];
      const rows = addressOf(logits);
      const out = allocate([m]);
      queue.push('crossEntropy', [rows, out.data.address, n], undefined, targets);
      return out;
    },

    sample(logits, draws) {
      const [m, n] = [logits.shape[0]!, logits.shape[1]!];
      const rows = addressOf(logits);
      const out = allocate([m]);
      queue.push('sample', [rows, out.data.address, m, n], draws.flatMap(drawNumbers));
      return out;
    },
  };
}

/** Addresses of a weight's outliers, where it has any: starts, columns, and the numbers that replace what codes decode to, or that are added to products. */
function outliersOf({ address }: NativeArray, form: WeightForm | undefined) {
  const places = form && 'outliers' in form ? form.outliers : undefined;
  if (!places) return undefined;
  const of = (numbers: number) => [address + places.starts, address + places.columns, address + numbers];
  return { values: of(places.values), differences: of(places.differences) };
}

/** Address of the order of a weight's columns, where they have one of their own. */
function orderOf({ address }: NativeArray, form: WeightForm | undefined): number | undefined {
  return form && 'columnOrder' in form && form.columnOrder !== undefined ? address + form.columnOrder : undefined;
}
