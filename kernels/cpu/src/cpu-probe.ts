import { createRequire } from 'node:module';
import type { BackendProbe } from '@fewbit/kernels';
import type { Addon } from './addon.js';
import { cpuBackend } from './cpu-backend.js';
import { findAddon, platformPackage } from './find-addon.js';
import { trial } from './trial.js';

/** The sets of kernels that there are, for whatever processor. */
export const instructionSetNames = ['avx512vnni', 'avx512', 'avx2vnni', 'avx2', 'neondot', 'neon', 'portable'] as const;

/** Native kernels on `threads` threads, the fastest that this processor has; FEWBIT_CPU_ISA, one of `instructionSetNames`, forces a set. */
export const cpuProbe: BackendProbe = async ({ threads }) => {
  try {
    const addon = await loadAddon();
    if (typeof addon === 'string') return { unavailable: addon };
    const usable = addon.instructionSets();
    const wanted = process.env.FEWBIT_CPU_ISA || usable[0]!;
    if (usable.includes(wanted)) return cpuBackend(addon, wanted, threads);
    const wrong = (instructionSetNames as readonly string[]).includes(wanted) ? 'is not for this processor' : 'names no set of kernels';
    return {
      unavailable: `FEWBIT_CPU_ISA=${wanted} ${wrong}: set it to one that it runs (${usable.join(', ')}), or leave it out for the fastest`,
    };
  } catch (error) {
    return { unavailable: error instanceof Error ? error.message : String(error) };
  }
};

let loaded: Promise<Addon | string> | undefined;

/** The binary, or why there is none; tried once per process. */
export function loadAddon(): Promise<Addon | string> {
  loaded ??= tryAddon();
  return loaded;
}

async function tryAddon(): Promise<Addon | string> {
  const path = findAddon();
  if (path === undefined) {
    return `no binary for this machine: install ${platformPackage()}, or compile one (npm install node-gyp node-addon-api, then node node_modules/@fewbit/kernels-cpu/build-native.mjs; npm run setup in a checkout)`;
  }
  return (await trial(path)) ?? (createRequire(import.meta.url)(path) as Addon);
}
