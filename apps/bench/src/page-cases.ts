import type { Backend, DeviceTensor, PageForm } from '@fewbit/kernels';
import type { ModelPlan } from '@fewbit/models';
import { keyValueCacheNames, parseKeyValueCache } from '@fewbit/presets';
import { type KernelCase, upload } from './kernel-cases.js';

/** By the names of `--kv-cache`; float32 has no form. */
const forms = new Map(
  keyValueCacheNames.map((name): [string, PageForm | undefined] => {
    const kept = parseKeyValueCache(name);
    return [name, kept === 'f32' ? undefined : kept === 'f16' ? kept : kept.keys];
  }),
);

/** Keys and values of m positions in each form of page: storing them, attention of a prompt, and of one token through `cold` bytes of pages, so that they come from memory. */
export function pageCases(backend: Backend, plan: ModelPlan, m: number, cold: number): (() => KernelCase)[] {
  const { heads, keyValueHeads, headSize, scale } = plan.blocks[0]!.attention;
  const width = keyValueHeads * headSize;
  const options = { heads, keyValueHeads, headSize, scale };
  const shapes = (rows: number) => `${rows}×${heads * headSize} ${m}×${width} ${m}×${width}`;
  const there = [...forms].filter(([, form]) => !form || (backend.pages && backend.pages.rejects(form, width) === undefined));

  return there.flatMap(([format, form]) => {
    const page = () => (form ? backend.pages!.create([m, width], form) : backend.upload(new Float32Array(m * width), [m, width]));
    const bytes = bytesOf(backend, page);
    /** `copies` pairs of pages with rows in them, and the queries of `rows` tokens. */
    const attention = (rows: number, copies: number, unit: KernelCase['unit'], work: number) => (): KernelCase => {
      const stored = upload(backend, [m, width], 1);
      const queries = upload(backend, [rows, heads * headSize], 2);
      const pages = Array.from({ length: 2 * copies }, page);
      backend.step(() => {
        for (const each of pages) backend.ops.store(each, stored, 0);
      });
      return {
        ...{ op: 'attention', format, unit, copies, work: copies * work, shape: shapes(rows) },
        run() {
          for (let i = 0; i < pages.length; i += 2)
            backend.step(() => void backend.ops.attention(queries, [pages[i]!], [pages[i + 1]!], { ...options, start: m - rows }));
        },
        free: () => freeAll(backend, [stored, queries, ...pages]),
      };
    };
    return [
      (): KernelCase => {
        const [rows, to] = [upload(backend, [m, width], 1), page()];
        return {
          ...{ op: 'store', format, unit: 'GB/s', work: 4 * m * width + bytes, shape: `${m}×${width}` },
          run: () => backend.step(() => backend.ops.store(to, rows, 0)),
          free: () => freeAll(backend, [rows, to]),
        };
      },
      attention(m, 1, 'GFLOP/s', 2 * heads * headSize * m * (m + 1)),
      attention(1, Math.ceil(cold / (2 * bytes)), 'GB/s', 2 * bytes),
    ];
  });
}

/** Of one page, as the backend holds it. */
function bytesOf(backend: Backend, page: () => DeviceTensor): number {
  const before = backend.bytes;
  const made = page();
  const bytes = backend.bytes - before;
  backend.free(made);
  return bytes;
}

function freeAll(backend: Backend, tensors: readonly DeviceTensor[]): void {
  for (const tensor of tensors) backend.free(tensor);
}
