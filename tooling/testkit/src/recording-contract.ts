import { expect, it } from 'vitest';
import { atOnce } from '../../../packages/core/src/index.js';
import type { Backend, DeviceTensor, Recording } from '../../../packages/kernels/src/index.js';
import { values } from './values.js';

const [vocabulary, heads, headSize, rows] = [50, 2, 8, 12];
const width = heads * headSize;
const rotary = { frequencies: Float32Array.of(1, 0.3, 0.1, 0.03), amplitude: 1 };
const ranges = [
  { from: 0, to: vocabulary - 1 },
  { from: 0, to: rows - 1 },
];

/** Ops that are written down once, where a backend does so, compute for any values what they would by themselves. */
export function recordingContract(backends: () => readonly [Backend, Backend]): void {
  /** A step of a small transformer, on each backend that records. */
  const withSteps = async (body: (on: Backend, step: Step) => Promise<void>) => {
    for (const on of backends()) {
      if (!on.record) continue;
      const before = on.bytes;
      const tensors = {
        table: on.upload(values(vocabulary * width, 1), [vocabulary, width]),
        w: on.upload(values(width * width, 2), [width, width]),
        cache: on.upload(values(rows * width, 3), [rows, width]),
      };
      await body(on, { tensors, ops: ([token, position]) => small(on, tensors, token!, position!) });
      for (const tensor of Object.values(tensors)) on.free(tensor);
      expect(on.bytes).toBe(before);
    }
  };

  it('recorded ops give the bits of ops by themselves, in any order of values and beside other ops', () =>
    withSteps(async (on, { ops, tensors }) => {
      const begun = [on.record!(ranges, ops), on.record!(ranges, ops)];
      for (const work of begun) work.next();
      on.step(() => ops([1, 1]).shape); // in a pause
      const two = begun.map((work) => atOnce(work)!);
      const got = new Float32Array(width);
      for (const given of [
        [3, 0],
        [49, 1],
        [0, 2],
        [7, 11],
        [7, 3],
        [8, 3],
      ]) {
        const plain = on.step(() => ops(given));
        const want = await on.download(plain);
        on.free(plain);
        for (const recording of two) {
          await recording.run(given, got);
          expect(got).toEqual(want);
          // takes, were they anybody's, the memory of what was recorded
          on.step(() => Array.from({ length: 20 }, () => on.ops.matmul(tensors.cache, tensors.w)).length);
        }
      }
      for (const recording of two) recording.free();
    }));

  it('a recording takes memory until it is freed, and refuses what it cannot run', () =>
    withSteps(async (on, { ops, tensors }) => {
      const before = on.bytes;
      const recording = atOnce(on.record!(ranges, ops))!;
      expect(on.bytes).toBeGreaterThan(before);
      const into = new Float32Array(width);
      for (const wrong of [
        [vocabulary, 0],
        [0, rows],
        [-1, 0],
        [0.5, 0],
      ])
        await expect(recording.run(wrong, into)).rejects.toThrow(/A recording for 0 to .* was given/);
      await expect(recording.run([0, 0], into.subarray(1))).rejects.toThrow(/16 values was given memory for 15/);
      const copy = on.upload(values(width * width, 2), [width, width]);
      const other = atOnce(on.record!(ranges, ([token, position]) => small(on, { ...tensors, w: copy }, token!, position!)))!;
      await other.run([0, 0], into);
      on.free(copy);
      await expect(other.run([0, 0], into)).rejects.toThrow(/was freed/);
      for (const each of [recording, other, recording]) each.free();
      await expect(recording.run([0, 0], into)).rejects.toThrow(/recording was freed/);
      expect(on.bytes).toBe(before);
    }));

  it('a recording that is given up in a pause keeps no memory', () =>
    withSteps(async (on, { ops }) => {
      const before = on.bytes;
      for (let pauses = 0; pauses <= 3; pauses++) {
        const work = on.record!(ranges, ops);
        for (let i = 0; i < pauses; i++) expect(work.next().done).toBe(false);
        work.return(undefined);
        expect(work.next()).toEqual({ done: true, value: undefined });
      }
      expect(on.bytes).toBe(before);
    }));

  it('records nothing that is not linear, makes other ops, or needs numbers at once', () =>
    withSteps(async (on, { tensors: { w } }) => {
      const x = on.upload(values(32, 4), [1, 32]);
      const before = on.bytes;
      const tries: Record<string, (value: number) => DeviceTensor> = {
        square: (value) => on.ops.scale(w, value * value),
        'more ops': (value) => Array.from({ length: value }, () => w).reduce((sum, each) => on.ops.add(sum, each), on.ops.scale(w, 1)),
        'other memory': (value) => on.ops.rows(w, 0, 1 + value),
        'an op of the reference': () =>
          on.ops.roundActivations(x, { spec: { format: { kind: 'ggml', type: 'q8_0' }, scaling: 'dynamic' } }),
        'an empty tensor': () => on.ops.add(w, on.empty([width])),
        'an upload': () => on.ops.add(w, on.upload(values(width, 1), [width])),
      };
      for (const [name, body] of Object.entries(tries)) {
        const recording: Recording | undefined = atOnce(on.record!([{ from: 0, to: 9 }], ([value]) => body(value!)));
        expect(recording, name).toBeUndefined();
        expect(on.bytes, name).toBe(before);
      }
      expect(() => atOnce(on.record!([], () => on.ops.rows(w, width, 1)))).toThrow(/outside/);
      expect(on.bytes).toBe(before);
      // and goes on
      const sum = on.step(() => on.ops.add(w, w));
      expect(await on.download(sum)).toEqual(values(width * width, 2).map((value) => 2 * value));
      for (const tensor of [x, sum]) on.free(tensor);
    }));
}

interface Step {
  readonly tensors: Tensors;
  readonly ops: (values: readonly number[]) => DeviceTensor;
}

type Tensors = Readonly<Record<'table' | 'w' | 'cache', DeviceTensor>>;

/** A token's row is turned, kept at its position and attends to those before it. */
function small({ ops }: Backend, { table, w, cache }: Tensors, token: number, position: number): DeviceTensor {
  const x = ops.matmul(ops.embed(table, Uint32Array.of(token)), w);
  const turned = ops.rotate(x, headSize, rotary, position);
  ops.store(cache, turned, position);
  const options = { heads, keyValueHeads: heads, headSize, scale: 0.3, start: position };
  return ops.add(ops.attention(turned, [cache], [cache], options), ops.activate(x, 'silu'));
}
