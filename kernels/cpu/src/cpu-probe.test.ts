import { backendContract } from '@fewbit/testkit/backend-contract';
import { describe } from 'vitest';
import { cpuBackend } from './cpu-backend.js';
import { loadAddon } from './cpu-probe.js';

const addon = await loadAddon();

if (typeof addon === 'string') describe.skip(`cpu: ${addon}`, () => undefined);
else for (const name of addon.instructionSets()) backendContract(`cpu ${name}`, async ({ threads }) => cpuBackend(addon, name, threads));
