import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { fewbitError, temporaryFolder } from '@fewbit/testkit';
import { afterAll, describe, expect, it } from 'vitest';
import { createScratchFile } from './create-scratch-file.js';
import { freeSpace } from './free-space.js';

const root = temporaryFolder();
const folder = () => mkdtempSync(join(root, 'case-'));
const bytes = (length: number, fill: number) => new Uint8Array(length).fill(fill);

describe('createScratchFile', () => {
  it('gives back what was written where, over and over, and leaves nothing', async () => {
    const place = folder();
    const file = await createScratchFile(join(place, 'out'));
    if (process.platform !== 'win32') expect(readdirSync(place)).toEqual([]);
    await file.write(bytes(1000, 1), 0);
    await file.write(bytes(1000, 2), 5000);
    await file.write(bytes(10, 3), 500);
    const found = bytes(1000, 9);
    await file.read(found, 0);
    expect(found).toEqual(Uint8Array.from({ length: 1000 }, (_, i) => (i >= 500 && i < 510 ? 3 : 1)));
    await file.read(found, 5000);
    expect(found).toEqual(bytes(1000, 2));
    await expect(file.read(found, 5500)).rejects.toThrow(fewbitError('output', /out\.scratch-\w+ ends before byte 6500/));
    await file.close();
    expect(readdirSync(place)).toEqual([]);
  });

  it('lies in the nearest folder that exists, and makes none', async () => {
    const place = folder();
    const file = await createScratchFile(join(place, 'new', 'deep', 'out'));
    await file.write(bytes(3, 1), 0);
    expect(await freeSpace(join(place, 'new', 'deep'))).toBeGreaterThan(0);
    await file.close();
    expect(readdirSync(place)).toEqual([]);
  });

  const disk = smallDisk();
  it.skipIf(!disk)('says that the disk is full, and by how much', async () => {
    const file = await createScratchFile(join(disk!, 'out'));
    await expect(file.write(bytes(2_000_000, 1), 0)).rejects.toThrow(
      fewbitError('output', /The disk is full at .*out\.scratch-\w+ \(ENOSPC\), 2000000 bytes to write, \d+ free: free some space/),
    );
    await file.close();
    expect(readdirSync(disk!)).toEqual([]);
    expect(await freeSpace(join(disk!, 'out'))).toBeGreaterThan(500_000);
  });
});

/** A disk of 1 MB, where this system lets us mount one. */
function smallDisk(): string | undefined {
  const place = folder();
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', place], { stdio: 'ignore' });
  } catch {
    return undefined;
  }
  afterAll(() => execFileSync('umount', [place]));
  return place;
}
