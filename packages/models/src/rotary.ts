import { FewbitError } from '@fewbit/core';
import type { Rotary } from '@fewbit/kernels';
import type { ConfigReader } from './config-reader.js';

/**
 * Rotary frequencies (Su et al. 2021, RoFormer) of heads of `headSize`, from `rope_theta` and `rope_scaling` or from the
 * newer `rope_parameters`. Rounded to float32 where transformers rounds. Throws `unsupported` for scalings other than
 * `default`, `linear` and `llama3`.
 */
export function rotary(config: ConfigReader, headSize: number, maxPositions: number): Rotary {
  if (headSize % 2 !== 0) throw new FewbitError('config', `config.json: rotary embeddings need an even head_dim, got ${headSize}.`);
  const scaling = config.object('rope_scaling') ?? config.object('rope_parameters');
  const theta = scaling?.positive('rope_theta', config.positive('rope_theta', 10_000)) ?? config.positive('rope_theta', 10_000);
  const kind = scaling?.text('rope_type', scaling.text('type', 'default')) ?? 'default';
  const partial = scaling?.positive('partial_rotary_factor', 1) ?? 1;
  if (partial !== 1)
    throw new FewbitError('unsupported', `partial_rotary_factor ${partial} is not supported for this architecture, only 1.`);

  const frequencies = Float32Array.from({ length: headSize / 2 }, (_, i) => 1 / Math.fround(theta ** Math.fround((2 * i) / headSize)));
  const rescale = rescalings[kind];
  if (!rescale || !Object.hasOwn(rescalings, kind)) {
    throw new FewbitError('unsupported', `Rotary scaling '${kind}' is not supported; supported are ${Object.keys(rescalings).join(', ')}.`);
  }
  return { frequencies: rescale(frequencies, scaling, maxPositions), amplitude: 1 };
}

type Rescale = (frequencies: Float32Array, scaling: ConfigReader | undefined, maxPositions: number) => Float32Array;

const rescalings: Readonly<Record<string, Rescale>> = {
  default: (frequencies) => frequencies,
  linear(frequencies, scaling) {
    const factor = scaling!.positive('factor');
    return frequencies.map((frequency) => frequency / factor);
  },
  // Llama 3.1: long wavelengths are slowed by `factor`, short ones kept, those between blended.
  llama3(frequencies, scaling, maxPositions) {
    const factor = scaling!.positive('factor');
    const low = scaling!.positive('low_freq_factor');
    const high = scaling!.positive('high_freq_factor');
    if (high <= low) throw new FewbitError('config', `config.json: high_freq_factor ${high} must be above low_freq_factor ${low}.`);
    const original = scaling!.integer('original_max_position_embeddings', maxPositions);
    return frequencies.map((frequency) => {
      const turns = (original * frequency) / (2 * Math.PI);
      if (turns < low) return frequency / factor;
      if (turns > high) return frequency;
      const smooth = (turns - low) / (high - low);
      return ((1 - smooth) * frequency) / factor + smooth * frequency;
    });
  },
};
