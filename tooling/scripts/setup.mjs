// npm run setup

import { installAndBuild } from './install-and-build.mjs';
import { runScript } from './run-script.mjs';

await runScript(async () => {
  await installAndBuild();
  console.log('Ready: try `npx fewbit doctor`, or `npm run quickstart`.');
});
