import type { Backend } from '@fewbit/kernels';
import { backendContract } from '@fewbit/testkit/backend-contract';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { cpuBackend } from './cpu-backend.js';
import { cpuProbe, instructionSetNames, loadAddon } from './cpu-probe.js';

const addon = await loadAddon();
const usable = typeof addon === 'string' ? [] : addon.instructionSets();
const absent = instructionSetNames.filter((name) => !usable.includes(name));

if (typeof addon !== 'string')
  for (const name of usable) backendContract(`cpu ${name}`, async ({ threads }) => cpuBackend(addon, name, threads));

// by name, so that a run says which sets it has not tried
it.for(absent)('cpu %s: the backend contract', (_, { skip }) => skip(typeof addon === 'string' ? addon : 'not for this processor'));

describe.skipIf(usable.length === 0)('FEWBIT_CPU_ISA', () => {
  afterEach(() => vi.unstubAllEnvs());
  const open = async (name: string) => {
    vi.stubEnv('FEWBIT_CPU_ISA', name);
    const backend = await cpuProbe({ threads: 1 });
    if (!('unavailable' in backend)) await backend.close();
    return backend;
  };
  const described = async (name: string) => ((await open(name)) as Backend).description;

  it('every set that the processor runs is among the known ones, and portable among both', () => {
    expect(instructionSetNames).toEqual(expect.arrayContaining(usable));
    expect(usable.at(-1)).toBe('portable');
  });

  it('forces each set that the processor runs; none is the fastest', async () => {
    const descriptions = new Map<string, string>();
    for (const name of usable) descriptions.set(name, await described(name));
    expect(new Set(descriptions.values()).size).toBe(usable.length);
    expect(descriptions.get('portable')).toBe('native portable C++, 1 thread');
    expect(await described('')).toBe(descriptions.get(usable[0]!));
  });

  it('is refused by name where the processor lacks the set, or where there is no such set', async () => {
    const choices = `set it to one that it runs (${usable.join(', ')}), or leave it out for the fastest`;
    for (const name of absent)
      expect(await open(name)).toEqual({ unavailable: `FEWBIT_CPU_ISA=${name} is not for this processor: ${choices}` });
    expect(absent).not.toEqual([]); // no processor is of two kinds
    for (const name of ['sse9', 'AVX2', 'avx2 '])
      expect(await open(name)).toEqual({ unavailable: `FEWBIT_CPU_ISA=${name} names no set of kernels: ${choices}` });
  });
});
