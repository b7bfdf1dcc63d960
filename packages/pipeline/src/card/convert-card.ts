import type { ConvertReport } from '../convert.js';
import { version } from '../version.js';
import { facts, modelCard } from './model-card.js';
import type { SourceCard } from './source-card.js';
import { layoutTags, libraryOf } from './tags.js';

/** The model card of a converted model: what it was, what was kept, hashes. */
export function convertCard(
  source: SourceCard,
  { layout, exact, layers, refitLayers = 0, refitError, bytes, notes, files }: Omit<ConvertReport, 'output'>,
  bitsPerWeight: number,
): string {
  const again =
    refitLayers > 0 && refitLayers < layers
      ? `${refitLayers} of them were rounded again, the others are the same`
      : 'weights were rounded again';
  const kept = exact ? 'every weight is the same number as before, which was checked' : again;
  const rows: [string, string][] = [
    ['layout', layout],
    ['quantized matrices', String(layers)],
    ['weights', kept],
    ...(refitError === undefined
      ? []
      : [['relative square error of that rounding, ‖W−Ŵ‖²/‖W‖²', refitError.toExponential(2)] as [string, string]]),
    ['bytes of the tensors, before and after', `${bytes.before} → ${bytes.after}`],
    ['made by', `Fewbit ${version}`],
  ];
  return modelCard({
    source,
    title: layout === 'float' ? 'in float' : `in layout ${layout}`,
    tags: layoutTags(layout, bitsPerWeight),
    library: libraryOf(layout),
    introduction: `[Fewbit](https://github.com/fewbit/fewbit) converted ${source.hubName ?? source.name} to layout ${layout}. How it was quantized, its own card says below, where it has one.`,
    sections: [['Conversion', facts(rows)], ...(notes.length > 0 ? [['Notes', notes.map((note) => `- ${note}`).join('\n')] as const] : [])],
    files,
  });
}
