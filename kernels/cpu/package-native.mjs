// node package-native.mjs <out folder> [<platform> <binary>]: makes the package of prebuilt kernels, by default for this platform from the binary in native/build.
// Users get it as an optional dependency (.pnpmfile.cjs in the root); nothing here publishes.

import { copyFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const here = (file) => fileURLToPath(new URL(file, import.meta.url));
const json = (file) => JSON.parse(readFileSync(here(file), 'utf8'));
const [folder, target = thisPlatform(), binary = here('native/build/Release/fewbit_cpu.node')] = process.argv.slice(2);
const platforms = json('platforms.json');
if (!folder) throw new Error('usage: node package-native.mjs <out folder> [<platform> <binary>]');
if (!platforms.includes(target))
  throw new Error(`${target} is none of the platforms with a package, in platforms.json: ${platforms.join(', ')}`);
if (!existsSync(binary)) throw new Error(`${binary} is missing: run 'npm run build:native' first`);

const { version, license, repository, engines, publishConfig } = json('package.json');
const [os, cpu, libc = 'glibc'] = target.split('-');
const manifest = {
  name: `@fewbit/kernels-cpu-${target}`,
  version,
  description: `Native CPU kernels for Fewbit, built for ${target}.`,
  ...{ license, repository, engines, publishConfig },
  os: [os],
  cpu: [cpu],
  ...(os === 'linux' && { libc: [libc] }),
  files: ['fewbit_cpu.node'],
};
const readme = `# ${manifest.name}

The binary of [@fewbit/kernels-cpu](https://www.npmjs.com/package/@fewbit/kernels-cpu) for ${target}: install that, which asks for this one.
`;
mkdirSync(folder, { recursive: true });
copyFileSync(binary, join(folder, 'fewbit_cpu.node'));
copyFileSync(here('../../LICENSE'), join(folder, 'LICENSE'));
writeFileSync(join(folder, 'README.md'), readme);
writeFileSync(join(folder, 'package.json'), `${JSON.stringify(manifest, undefined, 2)}\n`);
console.log(`${manifest.name}@${version} → ${folder}`);

/** As src/find-addon.ts names it. */
function thisPlatform() {
  const { platform, arch, report } = process;
  const musl = platform === 'linux' && !report.getReport().header.glibcVersionRuntime;
  return `${platform}-${arch}${musl ? '-musl' : ''}`;
}
