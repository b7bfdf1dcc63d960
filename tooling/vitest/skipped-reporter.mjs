import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { findChromium } from '../scripts/find-chromium.mjs';

const root = fileURLToPath(new URL('../../', import.meta.url));

/** A vitest reporter: names every test that did not run, with the reason where the test gives one, and what this machine lacks. */
export default class SkippedReporter {
  onTestRunEnd(modules) {
    const skipped = modules.flatMap((module) => [...module.children.allTests('skipped')]);
    if (skipped.length === 0) return;
    const lines = skipped.map((test) => `  ${test.module.relativeModuleId}: ${test.fullName}${reason(test.result().note)}`);
    console.log(`\nSkipped, ${skipped.length}:\n${lines.join('\n')}`);
    const absent = Object.entries(needs).filter(([, there]) => !there());
    if (absent.length > 0) console.log(`\nNot here, and some of them need it:\n${absent.map(([what]) => `  ${what}`).join('\n')}`);
  }
}

const reason = (note) => (note ? ` (${note})` : '');

const needs = {
  'shared models, texts and reference results (../shared, or where FEWBIT_SHARED points)': () =>
    existsSync(resolve(root, process.env.FEWBIT_SHARED ?? '../shared')),
  'native kernels (npm run setup builds them where it finds a C++ compiler)': () =>
    existsSync(resolve(root, 'kernels/cpu/native/build/Release/fewbit_cpu.node')),
  'Chromium (in PATH, or where FEWBIT_CHROMIUM points)': () => findChromium() !== undefined,
  'a Python with torch (FEWBIT_PYTHON)': () => process.env.FEWBIT_PYTHON !== undefined,
  'SmolLM2-135M (FEWBIT_SMOLLM2)': () => existsSync(resolve(process.env.FEWBIT_SMOLLM2 ?? '', 'config.json')),
};
