import type { TopLevelSpec } from 'vega-lite';
import type { AccuracyDocument, KernelsDocument, Machine, ModelDocument } from './documents.js';

/** Tokens per second of Fewbit and its peer side by side. */
export function plotModel({ machine, rows }: ModelDocument): Promise<string> {
  const values = rows.flatMap((row) => {
    const what = `${row.sequences ? `batch of ${row.sequences}` : row.what}, ${row.shape}`;
    const engine = `fewbit ${row.backend} ${row.format}`;
    return [
      { what, engine, tokensPerSecond: row.tokensPerSecond },
      ...(row.oneByOne ? [{ what, engine: `${engine}, one by one`, tokensPerSecond: row.oneByOne }] : []),
      ...(row.peer ? [{ what, engine: `${row.peer.name} ${row.peer.type}`, tokensPerSecond: row.peer.tokensPerSecond }] : []),
    ];
  });
  return drawSvg({
    title: titleOf('Tokens per second', machine),
    data: { values },
    mark: { type: 'bar' },
    encoding: {
      row: { field: 'what', title: null },
      y: { field: 'engine', type: 'nominal', title: null, axis: { labelLimit: 400 } },
      x: { field: 'tokensPerSecond', type: 'quantitative', title: 'tokens per second' },
      color: { field: 'engine', type: 'nominal', legend: null },
    },
    resolve: { scale: { x: 'independent' } },
  });
}

/** Each kernel as a fraction of the limit. */
export function plotKernels({ machine, rows }: KernelsDocument): Promise<string> {
  const values = rows.map((row) => ({
    kernel: [row.op, row.shape, row.format].filter(Boolean).join(' '),
    percent: 100 * row.fractionOfLimit,
    limit: { readBandwidth: 'read bandwidth', gemmPeak: 'float32 GEMM', integerPeak: 'int8 GEMM' }[row.limit],
  }));
  return drawSvg({
    title: titleOf('Kernels beside the limits', machine),
    data: { values },
    mark: { type: 'bar' },
    encoding: {
      y: { field: 'kernel', type: 'nominal', sort: null, title: null, axis: { labelLimit: 400 } },
      x: { field: 'percent', type: 'quantitative', title: '% of the limit' },
      color: { field: 'limit', type: 'nominal' },
    },
  });
}

/** Perplexity over bits per weight, a line per method; dashed, the float model's. */
export function plotAccuracy({ model, text, context, rows }: AccuracyDocument): Promise<string> {
  const values = rows.flatMap(({ method, format, bitsPerWeight, perplexity }) =>
    Object.entries(perplexity).map(([protocol, value]) => ({ method, format, bitsPerWeight, protocol, perplexity: value })),
  );
  return drawSvg({
    title: { text: `Perplexity of ${model}`, subtitle: `${text}, context ${context}` },
    data: { values },
    facet: { column: { field: 'protocol', title: null } },
    spec: {
      encoding: { y: { field: 'perplexity', type: 'quantitative', scale: { type: 'log', nice: false, padding: 8 } } },
      layer: [
        { transform: [{ filter: "datum.method === 'float'" }], mark: { type: 'rule', strokeDash: [4, 4] } },
        {
          transform: [{ filter: "datum.method !== 'float'" }],
          mark: { type: 'line', point: true },
          encoding: {
            x: { field: 'bitsPerWeight', type: 'quantitative', title: 'bits per weight', scale: { zero: false } },
            color: { field: 'method', type: 'nominal' },
          },
        },
      ],
    },
    resolve: { scale: { y: 'independent' } },
  });
}

function titleOf(text: string, { cpu, threads, readBandwidth, gemmPeak }: Machine) {
  return { text, subtitle: `${cpu}, ${threads} threads, ${readBandwidth.toFixed(1)} GB/s, ${gemmPeak.toFixed(0)} GFLOP/s` };
}

/** Vega is large: it is loaded when something is drawn. */
async function drawSvg(spec: TopLevelSpec): Promise<string> {
  const [{ compile }, { parse, View }] = await Promise.all([import('vega-lite'), import('vega')]);
  return new View(parse(compile({ background: 'white', ...spec }).spec), { renderer: 'none' }).toSVG();
}
