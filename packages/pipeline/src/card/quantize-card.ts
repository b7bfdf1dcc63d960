import type { CalibrationSet } from '@fewbit/calibration';
import type { LayerReport, QuantizeOptions, QuantizeReport } from '../types.js';
import { version } from '../version.js';
import { facts, fenced, modelCard } from './model-card.js';
import type { SourceCard } from './source-card.js';
import { layoutTags, libraryOf } from './tags.js';

/** What the same model and recipe give again: all but the run's time and memory, and the threads of what ran it. */
export type ReproducibleReport = Omit<QuantizeReport, 'output' | 'seconds' | 'peakMemory' | 'planned' | 'phases' | 'backend'>;

/** The model card of a quantized model: recipe, numbers, hashes. */
export function quantizeCard(
  source: SourceCard,
  report: ReproducibleReport,
  { calibration, observer, seed = 0, activation, keyValues, recipe }: QuantizeOptions,
  parameters: number,
): string {
  const { method, layout, layers, bytes, bitsPerWeight, readBack, notes } = report;
  const formats = countedFormats(layers);
  const rounded = (how: string | undefined, spec: QuantizeOptions['activation']) =>
    how === undefined ? 'in float' : how + (spec && spec.scaling !== 'dynamic' ? `, scales by ${observer ?? 'minmax'}` : '');
  const recipeRows: [string, string][] = [
    ['method', method],
    ['format', formats.map(([format, count]) => `${format} (${count} matrices)`).join(', ')],
    ...outlierRow(layers),
    ['inputs of these layers', rounded(report.activations, activation)],
    ['keys and values', rounded(report.keyValues, keyValues)],
    ['layout', layout],
    ['calibration', calibration ? calibrationText(calibration) : 'none'],
    ['seed', String(seed)],
    ['made by', `Fewbit ${version}`],
  ];
  const numberRows: [string, string][] = [
    ['bits per weight of the rounded matrices, scales, zero points, codebooks and outliers counted', bitsPerWeight.toFixed(4)],
    ['bits per weight of the whole model', ((bytes.after * 8) / parameters).toFixed(4)],
    ['bytes of the tensors, before and after', `${bytes.before} → ${bytes.after}`],
    ['logits of these files, read back, against the model in memory: relative L2 difference', readBack.toExponential(1)],
  ];
  const allNotes = [...notes, ...layers.flatMap((layer) => layer.notes.map((note) => `${layer.name}: ${note}`))];
  return modelCard({
    source,
    title: `${formats.map(([format]) => format).join(', ')} by ${method}`,
    tags: layoutTags(layout, bitsPerWeight),
    library: libraryOf(layout),
    introduction: `[Fewbit](https://github.com/fewbit/fewbit) quantized ${source.hubName ?? source.name} and wrote it in layout ${layout}.`,
    sections: [
      ['Recipe', [facts(recipeRows), ...(recipe ? [fenced('json', JSON.stringify(recipe, null, 2))] : [])].join('\n\n')],
      ['Numbers', `${facts(numberRows)}\n\n${errorTable(layers)}`],
      ...(allNotes.length > 0 ? [['Notes', allNotes.map((note) => `- ${note}`).join('\n')] as const] : []),
    ],
    files: report.files,
  });
}

function countedFormats(layers: readonly LayerReport[]): [string, number][] {
  const counts = new Map<string, number>();
  for (const { format } of layers) counts.set(format, (counts.get(format) ?? 0) + 1);
  return [...counts];
}

function outlierRow(layers: readonly LayerReport[]): [string, string][] {
  const most = Math.max(...layers.map(({ outliers = 0 }) => outliers));
  return most > 0 ? [['weights kept beside the codes', `at most ${(100 * most).toFixed(2)} % of a matrix`]] : [];
}

/** The path of a text is nobody's business, its name and the hash of what was taken from it are. */
function calibrationText({ source, windows, fingerprint }: CalibrationSet): string {
  const name = source.split(/[/\\]/).at(-1)!;
  return `${name}: ${windows.length} windows of ${windows[0]?.length ?? 0} tokens, sha256 of the tokens ${fingerprint}`;
}

/** By kind of layer, over the blocks. */
function errorTable(layers: readonly LayerReport[]): string {
  const kinds = new Map<string, LayerReport[]>();
  for (const layer of layers) {
    const kind = layer.name.replace(/^.*\.\d+\./, '');
    kinds.set(kind, [...(kinds.get(kind) ?? []), layer]);
  }
  const rows = [...kinds].map(([kind, members]) => {
    const outputs = members.flatMap(({ outputError }) => outputError ?? []);
    const bits = members.reduce((sum, { bitsPerWeight }) => sum + bitsPerWeight, 0) / members.length;
    return [
      kind,
      String(members.length),
      bits.toFixed(3),
      ...meanAndWorst(members.map(({ weightError }) => weightError)),
      ...meanAndWorst(outputs),
    ];
  });
  const head = ['layer', 'count', 'bits', 'weight error, mean', 'worst', 'output error, mean', 'worst'];
  const table = [head, ['---', ...head.slice(1).map(() => '---:')], ...rows].map((row) => `| ${row.join(' | ')} |`).join('\n');
  return `${table}\n\nWeight error: ‖W−Ŵ‖²/‖W‖². Output error: ‖(W−Ŵ)X‖²/‖WX‖² over the calibration inputs X.`;
}

function meanAndWorst(errors: readonly number[]): string[] {
  if (errors.length === 0) return ['–', '–'];
  const mean = errors.reduce((sum, error) => sum + error, 0) / errors.length;
  return [mean, Math.max(...errors)].map((error) => error.toExponential(2));
}
