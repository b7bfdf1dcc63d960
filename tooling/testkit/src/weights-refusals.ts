import { expect, it } from 'vitest';
import { atOnce, matrix } from '../../../packages/core/src/index.js';
import { createFormat, encodeMatrix } from '../../../packages/formats/src/index.js';
import type { ActivationPrecision, Backend } from '../../../packages/kernels/src/index.js';
import { values } from './values.js';
import type { NeedForms } from './weights-contract.js';

const activationPrecisions: readonly ActivationPrecision[] = ['int16', 'int8'];

/** What a backend with forms of weights must not take. `needForms` skips where it has none. */
export function weightsRefusals(backends: () => readonly Backend[], needForms: NeedForms): void {
  it('says why it has no form for a matrix, and refuses it', ({ skip }) => {
    needForms(skip);
    const format = createFormat({ kind: 'int', bits: 4, scheme: 'asymmetric', granularity: { kind: 'group', size: 32 }, scaleType: 'F32' });
    const codes = {
      ...encodeMatrix(matrix(4, 64, values(256, 1)), format),
      columnGroup: Uint32Array.from({ length: 64 }, (_, i) => (i < 31 ? 0 : 1)),
    };
    for (const { weights } of backends()) {
      expect(weights!.rejects(codes)).toBe('group 0 has 31 columns, and only groups of one size have a kernel');
      expect(() => atOnce(weights!.upload(codes))).toThrow(weights!.rejects(codes));
    }
  });

  it('refuses activations that it has no products with', ({ skip }) => {
    needForms(skip);
    const format = createFormat({ kind: 'int', bits: 4, scheme: 'symmetric-full', granularity: { kind: 'channel' }, scaleType: 'F32' });
    const codes = encodeMatrix(matrix(4, 64, values(256, 1)), format);
    for (const { weights } of backends())
      for (const activations of activationPrecisions.filter((each) => !weights!.activations[each]))
        expect(() => atOnce(weights!.upload(codes, { activations }))).toThrow(activations);
  });

  it('a form is for matmul and embed alone', ({ skip }) => {
    needForms(skip);
    const format = createFormat({ kind: 'int', bits: 8, scheme: 'symmetric-full', granularity: { kind: 'channel' }, scaleType: 'F32' });
    for (const backend of backends()) {
      const w = atOnce(backend.weights!.upload(encodeMatrix(matrix(4, 64, values(256, 1)), format)));
      expect(() => backend.ops.scale(w, 2)).toThrow(/only matmul and embed/);
      expect(() => backend.ops.add(w, w)).toThrow(/only matmul and embed/);
      backend.free(w);
    }
  });
}
