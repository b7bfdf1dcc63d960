import { closeSync, openSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { temporaryFolder } from '@fewbit/testkit';
import { describe, expect, it } from 'vitest';
import type { Addon } from './addon.js';
import { loadAddon } from './cpu-probe.js';
import { nativeFiles } from './native-files.js';

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;
const addon = await loadAddon();
const onLinux = process.platform === 'linux';

describe.skipIf(typeof addon === 'string')('parts of files in memory', () => {
  const folder = temporaryFolder();
  const content = Uint8Array.from({ length: 300_001 }, (_, i) => (i * 7919) >> 3);
  const files = () => nativeFiles(addon as Addon);
  const file = (name: string) => {
    const path = join(folder, name);
    writeFileSync(path, content);
    return path;
  };
  /** Maps some bytes of a file that is closed again. */
  const mapped = (path: string, offset: number, length: number, { map } = files()) => {
    const descriptor = openSync(path, 'r');
    try {
      return map(descriptor, offset, length);
    } finally {
      closeSync(descriptor);
    }
  };

  it('are the bytes of the file at any offset, also when it is closed', () => {
    const path = file('offsets');
    for (const [offset, length] of [
      [0, 300_001],
      [0, 1],
      [1, 4096],
      [4095, 2],
      [4096, 4096],
      [65_537, 234_464],
      [300_000, 1],
    ] as const)
      expect(Buffer.compare(mapped(path, offset, length)!, content.subarray(offset, offset + length)), `${offset}, ${length}`).toBe(0);
  });

  it('are undefined beyond the end of the file, and for what is no open file', () => {
    const path = file('short');
    for (const [offset, length] of [
      [0, 300_002],
      [300_001, 1],
      [400_000, 10],
      [0, 0],
      [-1, 10],
    ] as const)
      expect(mapped(path, offset, length), `${offset}, ${length}`).toBeUndefined();
    truncateSync(path, 1000);
    expect(mapped(path, 500, 501)).toBeUndefined();
    expect(mapped(path, 500, 500)).toHaveLength(500);
    expect(files().map(-1, 0, 10)).toBeUndefined();
  });

  it('take what is written to them, which the file never sees', () => {
    const path = file('written');
    const bytes = mapped(path, 10, 100_000)!;
    bytes.fill(1);
    expect(bytes.every((byte) => byte === 1)).toBe(true);
    expect(Buffer.compare(readFileSync(path), content)).toBe(0);
  });

  it('leave memory when they are released, and are read again', ({ skip }) => {
    if (!onLinux) skip('only Linux says what is in memory');
    const one = files();
    const bytes = mapped(file('released'), 5000, 200_000, one)!;
    const address = one.addressOf(bytes.buffer as ArrayBuffer);
    expect(bytes.reduce((sum, byte) => sum + byte, 0)).toBeGreaterThan(0);
    expect(residentAt(address)).toBeGreaterThan(190);
    one.release(bytes);
    expect(residentAt(address)).toBe(0);
    expect(Buffer.compare(bytes, content.subarray(5000, 205_000))).toBe(0);
    const own = Uint8Array.of(1, 2, 3);
    one.release(own); // of other memory nothing is lost
    expect([...own]).toEqual([1, 2, 3]);
  });

  it('are unmapped when nobody knows them any more', async ({ skip }) => {
    if (!onLinux) skip('only Linux lists what is mapped');
    const path = file('forgotten');
    let known = mapped(path, 0, 100_000);
    const isMapped = () => readFileSync('/proc/self/maps', 'utf8').includes(path);
    collectGarbage();
    expect(known && isMapped()).toBe(true);
    known = undefined;
    for (let i = 0; i < 10 && isMapped(); i++) {
      collectGarbage();
      // finalizers of native memory run between tasks
      await new Promise(setImmediate);
    }
    expect(isMapped()).toBe(false);
  });
});

/** Kilobytes in memory of the map that begins at an address. */
function residentAt(address: number): number {
  const maps = readFileSync('/proc/self/smaps', 'utf8');
  const [, resident] = new RegExp(`^${address.toString(16)}-[^]*?^Rss: +(\\d+) kB`, 'm').exec(maps)!;
  return Number(resident);
}
