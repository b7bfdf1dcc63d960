import { FewbitError } from '@fewbit/core';
import type { HostMemory, HostTensor } from './host-memory.js';
import { type PageShape, pageKinds, pageShape, pageSlack } from './page-shape.js';
import type { PageForms } from './types.js';

/** The form of a page in host memory. */
export interface HostPage {
  readonly kind: 'page';
  readonly shape: PageShape;
}

/** A tensor that may be a page; one without form is a page of float32. */
export type PageTensor<A extends Float32Array = Float32Array> = HostTensor<A> & { readonly form?: HostPage | { readonly kind: string } };

/** Pages as `pageShape` lays them out, for backends whose `store` and `attention` know them. */
export function hostPages<A extends Float32Array>(memory: HostMemory<A>): PageForms {
  return {
    rejects(form, n) {
      const shape = pageShape(form, n);
      return typeof shape === 'string' ? shape : undefined;
    },
    create([rows, n], form) {
      const shape = pageShape(form, n);
      if (typeof shape === 'string') throw new FewbitError('usage', `${shape}; keep rounded rows in a tensor.`);
      return memory.holdEmpty([rows, n], rows * shape.bytes + pageSlack, { kind: 'page', shape } satisfies HostPage);
    },
  };
}

export function isPage(form: PageTensor['form']): form is HostPage {
  return form?.kind === 'page';
}

/** How the rows of a page lie. Throws `usage` for a weight. */
export function pageShapeOf({ shape, form }: PageTensor): PageShape {
  if (!form) return pageShape('f32', shape[1]!) as PageShape;
  if (isPage(form)) return form.shape;
  throw new FewbitError('usage', `A weight of shape [${shape.join(', ')}] is no page of a KV cache.`);
}

/** The shape that all of these pages have. Throws `usage` where they differ, and for codes of 4 bits of heads of an odd size. */
export function commonPageShape(pages: readonly PageTensor[], headSize: number): PageShape {
  const shape = pageShapeOf(pages[0]!);
  for (const page of pages) {
    const { kind, group, ownZeros, zero } = pageShapeOf(page);
    if (kind === shape.kind && group === shape.group && ownZeros === shape.ownZeros && zero === shape.zero) continue;
    throw new FewbitError('usage', 'The pages of a KV cache are in two forms: give all the same.');
  }
  if (shape.kind === pageKinds.nibbles && headSize % 2 !== 0)
    throw new FewbitError('usage', `Heads of ${headSize}, an odd size, do not lie in pages of 4 bits: use another form.`);
  return shape;
}
