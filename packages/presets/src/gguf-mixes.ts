/**
 * llama.cpp's names for whole files: which type each matrix gets. The rules are those of `llama-quant.cpp`: more bits for values and down
 * projections, most of all in the first and last layers, and for the head. They are conventions: any mix of types loads.
 */
import { FewbitError } from '@fewbit/core';
import { type GgmlTypeName, ggmlType, ggmlTypeNames } from '@fewbit/formats';
import type { ModelPlan } from '@fewbit/models';
import type { WeightFormat, WeightSite } from '@fewbit/pipeline';

type StoredType = GgmlTypeName | 'F32' | 'F16' | 'BF16';
type Part = 'value' | 'fused' | 'output' | 'down' | 'other';

/** A matrix as the rules see it. */
interface Place {
  readonly part: Part;
  readonly layer: number;
  readonly layers: number;
  /** Query heads that share a key head. */
  readonly sharing: number;
  readonly importance: boolean;
}

interface Mix {
  readonly base: StoredType;
  /** Exceptions to `base` within the blocks. */
  readonly better?: (place: Place) => StoredType | undefined;
  /** Default: q6_k, or q8_0 where that is the base. */
  readonly head?: StoredType;
  /** Default: `base`. */
  readonly embedding?: StoredType;
}

const early = ({ layer, layers }: Place) => layer < Math.floor(layers / 8);
const moreBits = ({ layer, layers }: Place) => {
  const eighth = Math.floor(layers / 8);
  return layer < eighth || layer >= Math.floor((7 * layers) / 8) || (layer - eighth) % 3 === 2;
};
const grouped = ({ sharing }: Place) => sharing >= 4;

/** IQ4 files without importance keep the first down projections better. */
const iq4 = (base: StoredType): Mix => ({
  base,
  better: (place) =>
    (place.part === 'value' && grouped(place)) || (place.part === 'down' && early(place) && !place.importance) ? 'q5_k' : undefined,
});
const ternary = (base: StoredType): Mix => ({ base, embedding: 'q4_k' });
const legacy = (base: StoredType, better: StoredType): Mix => ({
  base,
  better: (place) => (place.part === 'down' && place.importance && early(place) ? better : undefined),
});

const mixes: Readonly<Record<string, Mix>> = {
  f32: { base: 'F32' },
  f16: { base: 'F16' },
  bf16: { base: 'BF16' },
  q8_0: { base: 'q8_0' },
  q4_0: legacy('q4_0', 'q4_1'),
  q4_1: { base: 'q4_1' },
  q5_0: legacy('q5_0', 'q5_1'),
  q5_1: { base: 'q5_1' },
  q2_k: {
    base: 'q2_k',
    better: (place) =>
      place.part === 'value' ? (grouped(place) ? 'q4_k' : 'q3_k') : place.part === 'down' || place.part === 'output' ? 'q3_k' : undefined,
  },
  q3_k_s: { base: 'q3_k' },
  q3_k_m: {
    base: 'q3_k',
    better: ({ part, layer, layers }) =>
      ({
        value: layer < 2 ? 'q5_k' : 'q4_k',
        down: layer < Math.floor(layers / 16) ? 'q5_k' : 'q4_k',
        output: 'q4_k',
        fused: 'q4_k',
        other: undefined,
      })[part] as StoredType | undefined,
  },
  q3_k_l: {
    base: 'q3_k',
    better: ({ part }) =>
      ({ value: 'q5_k', down: 'q5_k', output: 'q5_k', fused: 'q4_k', other: undefined })[part] as StoredType | undefined,
  },
  q4_k_s: {
    base: 'q4_k',
    better: (place) => ((place.part === 'value' && place.layer < 4) || (place.part === 'down' && early(place)) ? 'q5_k' : undefined),
  },
  q4_k_m: {
    base: 'q4_k',
    better: (place) =>
      (place.part === 'value' || place.part === 'down') && moreBits(place) ? 'q6_k' : place.part === 'fused' ? 'q5_k' : undefined,
  },
  q5_k_s: { base: 'q5_k' },
  q5_k_m: {
    base: 'q5_k',
    better: (place) =>
      ((place.part === 'value' || place.part === 'down') && moreBits(place)) || place.part === 'fused' ? 'q6_k' : undefined,
  },
  q6_k: { base: 'q6_k' },
  iq4_nl: iq4('iq4_nl'),
  iq4_xs: iq4('iq4_xs'),
  tq1_0: ternary('tq1_0'),
  tq2_0: ternary('tq2_0'),
  mxfp4: { base: 'mxfp4', head: 'q8_0', embedding: 'q8_0' },
};

const aliases: Readonly<Record<string, string>> = { q3_k: 'q3_k_m', q4_k: 'q4_k_m', q5_k: 'q5_k_m' };

export const ggufMixNames: readonly string[] = Object.keys(mixes);

/** The type of every matrix of a model in the mix that llama.cpp calls so; `importance`: an imatrix is at hand. Throws `usage` for an unknown name. */
export function ggufMix(name: string, plan: ModelPlan, importance: boolean): (weight: WeightSite) => WeightFormat {
  const mix = findMix(name);
  const places = placesOf(plan, importance);
  return ({ module, role, cols }) => {
    const chosen = typeFor(mix, role, places.get(module), cols);
    return isGgml(chosen) ? { kind: 'ggml', type: chosen } : chosen;
  };
}

/** Throws `usage` for a name that is no mix. */
export function findMix(name: string): Mix {
  const key = aliases[name] ?? name;
  if (Object.hasOwn(mixes, key)) return mixes[key]!;
  throw new FewbitError('usage', `Unknown format "${name}" for layout gguf. Choose one of: ${ggufMixNames.join(', ')}.`);
}

function typeFor(mix: Mix, role: WeightSite['role'], place: Place | undefined, cols: number): StoredType {
  const { base } = mix;
  if (!isGgml(base)) return base;
  if (role === 'head') {
    if (cols % 256 !== 0) return fitting('q8_0', cols);
    return mix.head ?? (base === 'q8_0' ? 'q8_0' : 'q6_k');
  }
  if (role === 'embedding') return fitting(mix.embedding ?? base, cols);
  return fitting((place && mix.better?.(place)) ?? base, cols);
}

/** A type whose blocks divide the rows: those of 256 fall back to one of 32, and all to F16. */
function fitting(type: StoredType, cols: number): StoredType {
  if (!isGgml(type) || cols % ggmlType(type).block === 0) return type;
  return cols % 32 === 0 ? smaller[type]! : 'F16';
}

const smaller: Partial<Record<StoredType, GgmlTypeName>> = {
  q2_k: 'q4_0',
  q3_k: 'q4_0',
  tq1_0: 'q4_0',
  tq2_0: 'q4_0',
  iq4_xs: 'iq4_nl',
  q4_k: 'q5_0',
  q5_k: 'q5_1',
  q6_k: 'q8_0',
};

function isGgml(type: StoredType): type is GgmlTypeName {
  return (ggmlTypeNames as readonly string[]).includes(type);
}

function placesOf({ blocks }: ModelPlan, importance: boolean): ReadonlyMap<string, Place> {
  const places = new Map<string, Place>();
  for (const { index: layer, attention, projections, output, mlp } of blocks) {
    const place = (part: Part): Place => ({
      part,
      layer,
      layers: blocks.length,
      sharing: attention.heads / attention.keyValueHeads,
      importance,
    });
    if (projections.kind === 'fused') places.set(projections.all.module, place('fused'));
    else places.set(projections.value.module, place('value'));
    places.set(output.module, place('output'));
    places.set(mlp.down.module, place('down'));
  }
  return places;
}
