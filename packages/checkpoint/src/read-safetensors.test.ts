import { FewbitError } from '@fewbit/core';
import { fewbitError, safetensorsBytes } from '@fewbit/testkit';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { memorySource } from './memory-source.js';
import { readSafetensors } from './read-safetensors.js';

const entry = (dtype: string, shape: unknown, begin: unknown, end: unknown) => ({ dtype, shape, data_offsets: [begin, end] });
const good = { a: entry('F32', [2, 3], 0, 24), 'b.ö': entry('I8', [3], 24, 27), none: entry('F16', [0, 9], 27, 27) };
const data = Uint8Array.from({ length: 27 }, (_, i) => i);
const file = safetensorsBytes({ __metadata__: { format: 'pt' }, ...good }, data);

/** Opens bytes through a source that knows how much was asked of it, and whether it was closed. */
async function open(bytes: Uint8Array) {
  const source = memorySource(bytes, 'x.safetensors');
  let closed = false;
  return readSafetensors({
    ...source,
    read(offset, length) {
      expect(length).toBeLessThanOrEqual(bytes.length);
      return source.read(offset, length);
    },
    async close() {
      closed = true;
    },
  }).catch((error: unknown) => {
    expect(closed).toBe(true);
    throw error;
  });
}

/** Opens and reads everything: the tensors, or the error, which must be ours and name the file. */
async function outcome(
  bytes: Uint8Array,
): Promise<ReadonlyMap<string, { dtype: string; shape: readonly number[]; data: Uint8Array }> | FewbitError> {
  try {
    const reader = await open(bytes);
    return new Map(await Promise.all([...reader.tensors.keys()].map(async (name) => [name, await reader.read(name)] as const)));
  } catch (error) {
    if (!FewbitError.is(error)) throw error;
    expect(error.code).toBe('checkpoint');
    expect(error.message).toContain('x.safetensors');
    return error;
  }
}

describe('readSafetensors', () => {
  it('gives each tensor, in the order of the data, as a copy', async () => {
    const reader = await open(file);
    expect([...reader.tensors.keys()]).toEqual(['a', 'b.ö', 'none']);
    expect(await reader.read('b.ö')).toEqual({ dtype: 'I8', shape: [3], data: Uint8Array.of(24, 25, 26) });
    (await reader.read('a')).data.fill(0);
    expect((await reader.read('a')).data).toEqual(data.slice(0, 24));
    expect((await reader.read('none')).data).toHaveLength(0);
  });

  it('names near tensors when one is asked for that is not there', async () => {
    const reader = await open(file);
    await expect(reader.read('b.o')).rejects.toThrow(fewbitError('checkpoint', /x\.safetensors has no tensor "b\.o".*"b\.ö"/));
  });

  it('refuses a file cut at any byte, or with a byte too many', async () => {
    for (let length = 0; length < file.length; length++) expect(await outcome(file.subarray(0, length))).toBeInstanceOf(FewbitError);
    expect(await outcome(Uint8Array.of(...file, 0))).toBeInstanceOf(FewbitError);
  });

  const headers: [what: string, header: unknown, message: RegExp][] = [
    ['no JSON', '{"a":', /header is not JSON/],
    ['no object', '[1]', /begin with "\{"/],
    ['white space first', ' {}', /begin with "\{"/],
    ['an empty header', '', /begin with "\{"/],
    ['something after the object', '{}x', /header is not JSON/],
    ['bytes that are no UTF-8', Uint8Array.of(0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d), /header is not UTF-8/],
    ['a tensor twice', `{"a":${JSON.stringify(good.a)},"\\u0061":${JSON.stringify(good.a)}}`, /key "a" is given twice/],
    ['a field twice', '{"a":{"dtype":"F32","dtype":"F32","shape":[],"data_offsets":[0,4]}}', /key "dtype" is given twice/],
    ['metadata that are no strings', { __metadata__: { format: 1 } }, /__metadata__ must map strings to strings/],
    ['metadata that are a list', { __metadata__: ['pt'] }, /__metadata__ must map strings to strings/],
    ['a tensor that is no object', { a: [1] }, /tensor "a": must be an object, got \[1\]/],
    ['the key that JavaScript loses', '{"__proto__":{}}', /tensor "__proto__": this cannot be the name/],
    ['half a surrogate pair as a name', '{"\\ud800":{}}', /this cannot be the name/],
    ['no dtype', { a: { shape: [], data_offsets: [0, 4] } }, /tensor "a": has no field dtype/],
    ['no shape', { a: { dtype: 'F32', data_offsets: [0, 4] } }, /tensor "a": has no field shape/],
    ['no offsets', { a: { dtype: 'F32', shape: [] } }, /tensor "a": has no field data_offsets/],
    ['a field too many', { a: { ...entry('F32', [], 0, 4), strides: [1] } }, /tensor "a": has a field "strides"/],
    ['an unknown dtype', { a: entry('F12', [], 0, 4) }, /tensor "a": dtype "F12" is not one of .*BF16/],
    ['a dtype of the prototype', { a: entry('toString', [], 0, 4) }, /tensor "a": dtype "toString"/],
    ['a negative size', { a: entry('F32', [-1], 0, 4) }, /tensor "a": shape \[-1\] must be/],
    ['a size that is a fraction', { a: entry('F32', [1.5], 0, 6) }, /tensor "a": shape \[1.5\] must be/],
    ['a size of minus zero', '{"a":{"dtype":"F32","shape":[-0],"data_offsets":[0,0]}}', /tensor "a": shape/],
    ['a shape that is a number', { a: entry('F32', 4, 0, 16) }, /tensor "a": shape 4 must be/],
    ['a shape beyond any file', { a: entry('F32', [1e9, 1e9], 0, 4) }, /tensor "a": shape .* more bytes than any file/],
    ['offsets as text', { a: entry('F32', [], '0', '4') }, /tensor "a": data_offsets/],
    ['three offsets', { a: { dtype: 'F32', shape: [], data_offsets: [0, 4, 8] } }, /tensor "a": data_offsets/],
    ['an offset beyond 2^53', { a: entry('F32', [], 0, 2 ** 60) }, /tensor "a": data_offsets/],
    ['offsets the wrong way', { a: entry('F32', [], 4, 0) }, /tensor "a": data_offsets \[4,0\] end before they begin/],
    ['another size than the shape', { a: entry('F32', [2], 0, 4) }, /tensor "a": .* takes 8 bytes, data_offsets hold 4/],
    ['a hole', { a: entry('F32', [], 0, 4), b: entry('F32', [], 5, 9) }, /tensor "b" begins at 5, not at 4: it leaves 1 bytes/],
    ['a hole at the start', { a: entry('F32', [], 1, 5) }, /tensor "a" begins at 1, not at 0/],
    ['overlapping tensors', { a: entry('F32', [], 0, 4), b: entry('F32', [], 2, 6) }, /tensor "b" begins at 2, not at 4: it overlaps/],
    ['two tensors in one place', { a: entry('F32', [], 0, 4), b: entry('F32', [], 0, 4) }, /tensor "b" begins at 0, not at 4: it overlaps/],
    ['more data than the file', { a: entry('F32', [9], 0, 36) }, /take 36 bytes, the file holds 27 of data: it is truncated/],
    ['less data than the file', { a: entry('F32', [6], 0, 24) }, /take 24 bytes, the file holds 27 of data: bytes at its end/],
  ];
  it.each(headers)('refuses %s', async (_, header, message) => {
    await expect(open(safetensorsBytes(header, data))).rejects.toThrow(fewbitError('checkpoint', message));
    await expect(open(safetensorsBytes(header, data))).rejects.toThrow(/x\.safetensors/);
  });

  it.each([
    ['more than the format allows', 100_000_001n, /header of 100000001 bytes is more than/],
    ['all bits set', 2n ** 64n - 1n, /header of 18446744073709551615 bytes is more than/],
    ['more than the file', 1000n, /header of 1000 bytes does not fit in a file of/],
  ])('refuses a header length of %s before it reads it', async (_, length, message) => {
    await expect(open(safetensorsBytes(good, data, length))).rejects.toThrow(fewbitError('checkpoint', message));
  });

  it('refuses deep nesting and values as large as the file, in short messages', async () => {
    const depth = 100_000;
    const nested = `${'['.repeat(depth)}${']'.repeat(depth)}`;
    for (const header of [
      `{"a":${nested}}`,
      `{"__metadata__":${nested}}`,
      `{"a":{"dtype":"F32","shape":${nested},"data_offsets":[0,4]}}`,
      `{"a":{"dtype":${'{"x":'.repeat(depth)}1${'}'.repeat(depth)},"shape":[],"data_offsets":[0,4]}}`,
      '{"a":'.repeat(depth),
      { a: entry('F'.repeat(depth), [], 0, 4) },
      { a: entry('F32', new Array(depth).fill(-1), 0, 4) },
      { ['a'.repeat(depth)]: 1 },
    ]) {
      const error = await outcome(safetensorsBytes(header, data));
      expect(error).toBeInstanceOf(FewbitError);
      expect((error as FewbitError).message.length).toBeLessThan(500);
    }
  });

  it('any change of bytes is refused, or gives tensors that cover the data exactly', () =>
    fc.assert(
      fc.asyncProperty(fc.array(fc.tuple(fc.nat(file.length - 1), fc.nat(255)), { minLength: 1, maxLength: 4 }), async (changes) => {
        const bytes = file.slice();
        for (const [at, value] of changes) bytes[at] = value;
        const found = await outcome(bytes);
        if (found instanceof FewbitError) return;
        expect(Buffer.concat([...found.values()].map((tensor) => tensor.data))).toEqual(Buffer.from(bytes.slice(-27)));
      }),
      { numRuns: 1500, seed: 4 },
    ));

  it('any JSON in place of a field is refused, naming the tensor, unless it means the same', () => {
    const fields = fc.constantFrom('dtype', 'shape', 'data_offsets');
    return fc.assert(
      fc.asyncProperty(fc.constantFrom('a', 'b.ö'), fields, fc.jsonValue({ maxDepth: 2 }), async (name, field, value) => {
        const changed = { ...good, [name]: { ...good[name as 'a'], [field]: value } };
        const found = await outcome(safetensorsBytes(changed, data));
        if (found instanceof FewbitError) expect(found.message).toMatch(/tensor "(a|b\.ö|none)"/);
        else expect([...found.keys()]).toEqual(['a', 'b.ö', 'none']);
      }),
      { numRuns: 500, seed: 4 },
    );
  });

  it('any layout of tensors without gaps is accepted, and any offset moved is refused', () => {
    const tensor = fc.record({
      dtype: fc.constantFrom<[string, number]>(['F32', 4], ['BF16', 2], ['U8', 1], ['I64', 8]),
      shape: fc.array(fc.nat(4), { maxLength: 3 }),
    });
    return fc.assert(
      fc.asyncProperty(fc.array(tensor, { maxLength: 6 }), fc.nat(), fc.integer({ min: -9, max: 9 }), async (tensors, which, shift) => {
        let end = 0;
        const entries = tensors.map(({ dtype: [dtype, width], shape }) => {
          const begin = end;
          end += shape.reduce((product, size) => product * size, width);
          return entry(dtype, shape, begin, end);
        });
        const named = () => Object.fromEntries(entries.map((value, i) => [`t${i}`, value]));
        const bytes = new Uint8Array(end);
        const found = await outcome(safetensorsBytes(named(), bytes));
        expect(found).toBeInstanceOf(Map);
        expect([...(found as Map<string, unknown>).keys()].sort()).toEqual(Object.keys(named()).sort());
        const sized = entries.filter(({ data_offsets: [from, to] }) => to !== from);
        if (shift === 0 || sized.length === 0) return;
        const moved = sized[which % sized.length]!;
        moved.data_offsets = moved.data_offsets.map((offset) => (offset as number) + shift);
        expect(await outcome(safetensorsBytes(named(), bytes))).toBeInstanceOf(FewbitError);
      }),
      { numRuns: 300, seed: 4 },
    );
  });
});
