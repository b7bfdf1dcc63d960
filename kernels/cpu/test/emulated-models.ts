// Tiny models on native kernels, for a processor that only an emulator has (check-arm64.mjs): the addon's trial, then logits.
import { checkGoldenModels } from '@fewbit/testkit/check-golden-models';
import { cpuProbe } from '../src/cpu-probe.js';

process.execPath = process.env.FEWBIT_EMULATED_NODE ?? process.execPath; // for the trial's own process
console.log(await checkGoldenModels(cpuProbe));
