import { inStrips, type Pausable } from '@fewbit/core';
import { createFormat, type FittedParams, type NumericFormat, type QuantizedMatrix, tileGrid } from '@fewbit/formats';

/**
 * A matrix whose codes name levels: x̂ = scale·table[code] + base, scale and base shared by every `span` inputs of a row; or a table for each
 * span. Kernels decode such codes to float32 on the way.
 */
export interface MatrixLevels {
  /** How a kernel comes from codes to levels: the two floats and integers by arithmetic, others by a table of up to 16 or of more. */
  readonly coding: 'nibbles' | 'bytes' | 'integers' | 'e4m3' | 'e5m2';
  /** Inputs that share a scale, and how many such spans a row has. */
  readonly span: number;
  readonly spans: number;
  /** By code: one for the matrix, or [rows][spans] where there are no scales. */
  readonly tables: Float32Array;
  /** [rows][spans]. */
  readonly scales: Float32Array | undefined;
  /** [rows][spans]; undefined where all are 0. */
  readonly bases: Float32Array | undefined;
}

/** A span takes objects, and as long as so many codes. */
const spanCost = 16;

/** `matrix` as its levels, with `tableSize` places in a table for each number of levels. It has no `columnGroup`, and its tiles are not flat. Pauses between strips of rows. */
export function* levelsOf({ spec, rows, cols, params }: QuantizedMatrix, tableSize: (levels: number) => number): Pausable<MatrixLevels> {
  const format = createFormat(spec);
  const { affine } = format;
  const { tileRows, tileCols, across } = tileGrid(format, rows, cols);
  const span = spanOf(format, tileCols, cols);
  const spans = Math.ceil(cols / span);
  const perTile = tileCols / span;
  const size = tableSize(format.levels);
  const tables = new Float32Array((affine ? 1 : rows * spans) * size);
  const scales = affine && new Float32Array(rows * spans);
  const bases = affine?.bases ? new Float32Array(rows * spans) : undefined;
  if (affine) tables.set(affine.table);
  yield* inStrips(rows, spanCost * spans, (first, end) => {
    for (let row = first, at = first * spans; row < end; row++) {
      const firstTile = Math.floor(row / tileRows) * across;
      for (let place = 0; place < spans; place++, at++) {
        const tile = params.at(firstTile + Math.floor((place * span) / tileCols))!;
        if (!scales) {
          tables.set((tile as FittedParams).levels, at * size);
          continue;
        }
        const { scale, base } = affine!.of(tile, place % perTile);
        scales[at] = scale;
        if (bases) bases[at] = base;
      }
    }
  });
  return { coding: codingOf(format), span, spans, tables, scales, bases };
}

/** Inputs of a row that share a scale. */
function spanOf({ affine }: NumericFormat, tileCols: number, cols: number): number {
  return affine?.span ?? Math.min(tileCols, cols);
}

function codingOf({ spec, levels, affine }: NumericFormat): MatrixLevels['coding'] {
  if (levels <= 16) return 'nibbles';
  if (spec.kind === 'float' && spec.element !== 'e2m1') return spec.element;
  return affine && isCounting(affine.table) ? 'integers' : 'bytes';
}

/** Whether the levels of neighbouring codes are 1 apart, from a whole number on. */
function isCounting(table: Float32Array): boolean {
  return Number.isInteger(table[0]) && table.every((level, code) => level === table[0]! + code);
}
