// npm test: the tests that need nothing but a checkout. Arguments go to vitest.

import { installAndBuild } from './install-and-build.mjs';
import { root, runCommand } from './run-command.mjs';
import { runScript } from './run-script.mjs';

await runScript(async () => {
  await installAndBuild();
  await runCommand(process.execPath, [`${root}/node_modules/vitest/vitest.mjs`, 'run', '--project', 'default', ...process.argv.slice(2)]);
  console.log('\nNot run here: the projects "reference" and "interop" (see CONTRIBUTING.md).');
});
