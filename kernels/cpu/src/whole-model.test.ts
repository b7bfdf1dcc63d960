import { modelContract } from '@fewbit/testkit/model-contract';
import { quantizedModelContract } from '@fewbit/testkit/quantized-model-contract';
import { describe } from 'vitest';
import { cpuProbe, loadAddon } from './cpu-probe.js';

const addon = await loadAddon();

if (typeof addon === 'string') describe.skip(`cpu: ${addon}`, () => undefined);
else {
  modelContract('cpu', cpuProbe);
  quantizedModelContract('cpu', cpuProbe);
}
