import { FewbitError } from '@fewbit/core';
import { formatName } from '@fewbit/formats';
import {
  type HostMemory,
  type HostTensor,
  type PageForm,
  type PageForms,
  type RoundingShape,
  roundingKinds,
  roundingShape,
} from '@fewbit/kernels';
import { type Engine, type PageShape, pageKindIds } from './addon.js';
import type { NativeArray } from './native-heap.js';
import type { WeightForm } from './weight-forms.js';

/** How a page lies in native memory, and what its rows are rounded to on the way there, as commands take them. */
export interface NativePage {
  readonly kind: 'page';
  readonly shape: PageShape;
  readonly rounding: readonly number[];
}

/** Pages in codes and in half precision, as native/page.h has them. */
export function pageForms(engine: Engine, memory: HostMemory<NativeArray>): PageForms {
  return {
    rejects(form, n) {
      const page = describe(form, n);
      return typeof page === 'string' ? page : undefined;
    },
    create([rows, n], form) {
      const page = describe(form, n);
      if (typeof page === 'string') throw new FewbitError('usage', `${page}; keep rounded rows in a tensor.`);
      return memory.hold([rows, n], engine.pageBytes(rows, ...page.shape), page);
    },
  };
}

/** A tensor that may be a page; one without form is a page of float32. */
export type PageTensor = HostTensor<NativeArray> & { readonly form?: NativePage | WeightForm };

/** How the rows of a page lie. Throws `usage` for a weight. */
export function pageShapeOf({ shape, form }: PageTensor): PageShape {
  if (!form) return [pageKindIds.floats, shape[1]!, 1, false, 0];
  if (form.kind === 'page') return form.shape;
  throw new FewbitError('usage', `A weight of shape [${shape.join(', ')}] is no page of a KV cache.`);
}

/** The shape that all of these pages have. Throws `usage` where they differ, and for codes of 4 bits of heads of an odd size. */
export function commonShape(pages: readonly PageTensor[], headSize: number): PageShape {
  const shape = pageShapeOf(pages[0]!);
  const other = pages.find((page) => pageShapeOf(page).some((value, i) => value !== shape[i]));
  if (other) throw new FewbitError('usage', `Pages of a KV cache in two forms, ${shape} and ${pageShapeOf(other)}: give all the same.`);
  if (shape[0] === pageKindIds.nibbles && headSize % 2 !== 0)
    throw new FewbitError('usage', `Heads of ${headSize}, an odd size, do not lie in pages of 4 bits: use another form.`);
  return shape;
}

/** Or why there is no such page. */
function describe(form: PageForm, n: number): NativePage | string {
  if (form === 'f16') return { kind: 'page', shape: [pageKindIds.halves, n, n, false, 0], rounding: roundingNumbers() };
  const rounding = roundingShape(form, n);
  const kind = rounding && kindOf(form, rounding, n);
  if (!rounding || kind === undefined) return `keys and values rounded by ${formatName(form.spec.format)} have no native pages`;
  const ownZeros = rounding.kind === roundingKinds.asymmetric && rounding.scale === 0;
  return { kind: 'page', shape: [kind, n, Math.min(n, rounding.group), ownZeros, rounding.zero], rounding: roundingNumbers(rounding) };
}

/** Undefined for codes that have no place in a page. */
function kindOf({ spec: { format } }: Exclude<PageForm, 'f16'>, { kind, top, group, outlierThreshold }: RoundingShape, n: number) {
  if (outlierThreshold !== 0) return undefined;
  if (kind === roundingKinds.symmetric || kind === roundingKinds.asymmetric) {
    if (top > 15) return pageKindIds.bytes;
    const even = n % 2 === 0 && (group >= n || group % 2 === 0);
    return even ? pageKindIds.nibbles : undefined;
  }
  const isByte = (kind === roundingKinds.float || kind === roundingKinds.power) && format.kind === 'float' && format.element !== 'e2m1';
  return isByte ? pageKindIds[format.element] : undefined;
}

/** As native/commands.cc reads them: what is rounded to half precision needs none. */
export function roundingNumbers(shape?: RoundingShape): readonly number[] {
  if (!shape) return new Array<number>(12).fill(0);
  const { group, kind, steps, top, zero, emptyScale, scale, element, divisor, outlierThreshold } = shape;
  return [
    ...[group, kind, steps, top, zero, emptyScale, scale],
    ...[element.mantissa, element.largest, element.smallestNormal, divisor, outlierThreshold],
  ];
}
