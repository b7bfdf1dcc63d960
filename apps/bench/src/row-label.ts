import { parseFormat } from '@fewbit/presets';
import { groupOf } from './format-label.js';
import type { Usual } from './usual-recipes.js';

/** `int4 g64 asymmetric`: what tells a row's format from the others of its table. */
export function rowLabel({ format, group, variant }: { format: string; group: number | null; variant?: string | undefined }): string {
  return [format, ...(group === null ? [] : [`g${group}`]), ...(variant ? [variant] : [])].join(' ');
}

/** Inputs that share a scale in what a recipe makes; null where another granularity does. */
export function groupOfRecipe({ format, group, doubleQuantization, layout }: Usual): number | null {
  return layout === 'gguf' ? null : groupOf(parseFormat({ format, group, doubleQuantization }, 'F32'));
}
