import { random } from '@fewbit/core';
import { describe, expect, it } from 'vitest';
import { likelySteps, spanModel } from './block-steps.js';
import { fitAffine, fitStep } from './fit-span.js';
import { type GgmlTypeName, ggmlType, type SuperType } from './ggml-types.js';
import { levelFitter } from './level-fit.js';
import { levelTable } from './nearest-level.js';

const supers: GgmlTypeName[] = ['q2_k', 'q3_k', 'q4_k', 'q5_k', 'q6_k', 'iq4_xs'];

function drawn(name: GgmlTypeName, seed: number) {
  const type = ggmlType(name) as SuperType;
  const { normal, uniform } = random(seed);
  const values = { x: Float64Array.from({ length: 256 }, () => normal()), w: Float64Array.from({ length: 256 }, () => uniform() ** 2) };
  const fitter = levelFitter(type);
  const levels = levelTable(type);
  const spans = Array.from({ length: 256 / type.sub }, (_, j) => ({ ...values, from: j * type.sub, count: type.sub }));
  const models = spans.map((span) => {
    const extremes = [Math.min(...levels), Math.max(...levels)] as const;
    return spanModel(
      fitter,
      span,
      type.dmin === undefined ? fitStep(fitter, span, extremes, levels.length) : fitAffine(fitter, span, levels.length - 1, 0),
    );
  });
  return { type, fitter, spans, models, uniform };
}

describe.each(supers)('%s', (name) => {
  it('has a model that the error of a sub-block never exceeds', () => {
    const { type, fitter, spans, models, uniform } = drawn(name, 3);
    for (const [j, { step, base, error, ll, l, one }] of models.entries()) {
      expect(fitter.error(spans[j]!, step, base)).toBeCloseTo(error, 9);
      for (let draw = 0; draw < 20; draw++) {
        const more = step * (uniform() - 0.5) * 0.2;
        const off = type.dmin === undefined ? 0 : step * (uniform() - 0.5);
        const modelled = error + ll * more ** 2 + 2 * l * more * off + one * off ** 2;
        expect(fitter.error(spans[j]!, step + more, base + off)).toBeLessThanOrEqual(modelled * (1 + 1e-9));
      }
    }
  });

  it('begins with different integers in range, the likeliest first', () => {
    let [ours, plainly] = [0, 0];
    for (let seed = 1; seed <= 10; seed++) {
      const { type, fitter, spans, models } = drawn(name, seed);
      const starts = likelySteps(type, models, 3);
      expect(new Set(starts.map(({ scales, depths }) => `${scales} ${depths}`)).size).toBe(3);
      const errorOf = ({ d, dmin, scales, depths }: (typeof starts)[number]) =>
        spans.reduce((sum, span, j) => sum + fitter.error(span, d * scales[j]!, -dmin * depths[j]!), 0);
      const largest = models.reduce((most, { step }) => (Math.abs(step) > Math.abs(most) ? step : most), 0);
      const deepest = models.reduce((most, { base }) => Math.max(most, -base), 0);
      const { low, high } = type.scale;
      const plain = { d: largest / (type.dmin === undefined ? low : high), dmin: deepest / high };
      const clamp = (value: number) => Math.min(high, Math.max(low, value));
      const rounded = {
        ...plain,
        scales: Int8Array.from(models, ({ step }) => clamp(Math.round(step / plain.d))),
        depths: Uint8Array.from(models, ({ base }) => (type.dmin === undefined ? 0 : clamp(Math.round(-base / plain.dmin)))),
      };
      ours += errorOf(starts[0]!);
      plainly += errorOf(rounded);
      for (const { scales, depths } of starts) {
        expect(scales.every((scale) => scale >= low && scale <= high)).toBe(true);
        expect(depths.every((depth) => depth <= (type.dmin === undefined ? 0 : high))).toBe(true);
      }
    }
    // to round each scale by itself, as ggml does, is a worse start
    expect(ours).toBeLessThan(plainly);
  });
});
