import { FewbitError } from '@fewbit/core';
import { checkDraw } from './check-draw.js';
import type { DeviceTensor, Ops } from './types.js';

/** The same ops behind one check of shapes and indices, so that no kernel reads past its operands. Throws `usage`. */
export function checkedOps(ops: Ops): Ops {
  return {
    embed(table, tokens) {
      require('embed', 'table', table, 2);
      indices('embed', 'token', tokens, table.shape[0]!);
      return ops.embed(table, tokens);
    },
    matmul(x, w, bias) {
      require('matmul', 'x', x, 2);
      require('matmul', 'w', w, 2);
      check(x.shape[1] === w.shape[1], () => `matmul: x ${text(x)} and w ${text(w)} differ in their inner size.`);
      check(
        !bias || (bias.shape.length === 1 && bias.shape[0] === w.shape[0]),
        () => `matmul: a bias ${bias && text(bias)} does not fit w ${text(w)}.`,
      );
      return ops.matmul(x, w, bias);
    },
    add(a, b) {
      const row = length(b) === b.shape.at(-1) && b.shape.at(-1) === a.shape.at(-1);
      check(row || same(a, b), () => `add: ${text(b)} is neither of the shape ${text(a)} nor one row of it.`);
      return ops.add(a, b);
    },
    scale: (x, by) => ops.scale(x, by),
    rmsNorm(x, gain, epsilon, gainOffset) {
      segments('rmsNorm', x, length(gain));
      return ops.rmsNorm(x, gain, epsilon, gainOffset);
    },
    layerNorm(x, gain, bias, epsilon) {
      segments('layerNorm', x, length(gain));
      check(length(gain) === length(bias), () => `layerNorm: gain ${text(gain)} and bias ${text(bias)} differ.`);
      return ops.layerNorm(x, gain, bias, epsilon);
    },
    rotate(x, headSize, rotary, start) {
      require('rotate', 'x', x, 2);
      segments('rotate', x, headSize);
      check(
        2 * rotary.frequencies.length <= headSize,
        () => `rotate: ${rotary.frequencies.length} frequencies do not fit heads of ${headSize}.`,
      );
      return ops.rotate(x, headSize, rotary, start);
    },
    attention(q, k, v, options) {
      const { heads, keyValueHeads, headSize, start, window = 1 } = options;
      const keys = start + q.shape[0]!;
      check(heads % keyValueHeads === 0, () => `attention: ${heads} heads cannot share ${keyValueHeads} key-value heads.`);
      check(q.shape.length === 2 && q.shape[1] === heads * headSize, () => `attention: q ${text(q)} is not [m, ${heads * headSize}].`);
      for (const [name, pages] of Object.entries({ k, v })) {
        const [page] = pages;
        const fits = page?.shape.length === 2 && page.shape[0]! * pages.length >= keys && page.shape[1] === keyValueHeads * headSize;
        check(
          fits,
          () => `attention: ${name}, ${pages.length} pages of ${page && text(page)}, is not [≥ ${keys}, ${keyValueHeads * headSize}].`,
        );
        check(
          pages.every((other) => same(other, k[0]!)),
          () => `attention: the pages of ${name} and k differ: ${[k[0]!, ...pages].map(text).join(', ')}.`,
        );
      }
      check(window >= 1, () => `attention: a window of ${window} sees nothing; it must be 1 or more.`);
      return ops.attention(q, k, v, options);
    },
    gated(gate, up, activation) {
      check(same(gate, up), () => `gated: gate ${text(gate)} and up ${text(up)} differ.`);
      return ops.gated(gate, up, activation);
    },
    activate: (x, activation) => ops.activate(x, activation),
    softcap: (x, cap) => ops.softcap(x, cap),
    columns(x, start, count) {
      require('columns', 'x', x, 2);
      range('columns', start, count, x.shape[1]!);
      return ops.columns(x, start, count);
    },
    rows(x, start, count) {
      require('rows', 'x', x, 2);
      range('rows', start, count, x.shape[0]!);
      return ops.rows(x, start, count);
    },
    store(cache, rows, start) {
      require('store', 'cache', cache, 2);
      require('store', 'rows', rows, 2);
      check(cache.shape[1] === rows.shape[1], () => `store: rows ${text(rows)} do not fit the cache ${text(cache)}.`);
      range('store', start, rows.shape[0]!, cache.shape[0]!);
      ops.store(cache, rows, start);
    },
    roundActivations(x, rounding) {
      require('roundActivations', 'x', x, 2);
      return ops.roundActivations(x, rounding);
    },
    crossEntropy(logits, targets) {
      require('crossEntropy', 'logits', logits, 2);
      check(targets.length === logits.shape[0], () => `crossEntropy: ${targets.length} targets for logits ${text(logits)}.`);
      indices('crossEntropy', 'target', targets, logits.shape[1]!);
      return ops.crossEntropy(logits, targets);
    },
    sample(logits, draws) {
      require('sample', 'logits', logits, 2);
      check(draws.length === logits.shape[0] && logits.shape[1]! > 0, () => `sample: ${draws.length} draws for logits ${text(logits)}.`);
      for (const draw of draws) checkDraw(draw, 'sample: ');
      return ops.sample(logits, draws);
    },
  };
}

/** The message is made only when it is needed: some ops take less time than their text. */
function check(holds: boolean, message: () => string): void {
  if (!holds) throw new FewbitError('usage', message());
}

function require(op: string, name: string, tensor: DeviceTensor, rank: number): void {
  check(tensor.shape.length === rank, () => `${op}: ${name} ${text(tensor)} must have ${rank} dimensions.`);
}

function segments(op: string, x: DeviceTensor, size: number): void {
  check(size > 0 && x.shape.at(-1)! % size === 0, () => `${op}: rows of ${text(x)} are not made of segments of ${size}.`);
}

function range(op: string, start: number, count: number, limit: number): void {
  check(start >= 0 && count >= 0 && start + count <= limit, () => `${op}: [${start}, ${start + count}) is outside of [0, ${limit}).`);
}

function indices(op: string, name: string, values: Uint32Array, limit: number): void {
  const wrong = values.find((value) => value >= limit);
  check(wrong === undefined, () => `${op}: ${name} ${wrong} is outside of [0, ${limit}).`);
}

const length = ({ shape }: DeviceTensor) => shape.reduce((product, size) => product * size, 1);
const same = (a: DeviceTensor, b: DeviceTensor) => a.shape.length === b.shape.length && a.shape.every((size, i) => size === b.shape[i]);
const text = ({ shape }: DeviceTensor) => `[${shape.join(', ')}]`;
