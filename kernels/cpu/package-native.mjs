// node package-native.mjs <out folder>: makes the package of prebuilt kernels for this platform from the binary in native/build. Users get it as an optional
// dependency (.pnpmfile.cjs in the root); nothing here publishes.

import { copyFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const [folder] = process.argv.slice(2);
const here = (file) => fileURLToPath(new URL(file, import.meta.url));
const json = (file) => JSON.parse(readFileSync(here(file), 'utf8'));
const binary = here('native/build/Release/fewbit_cpu.node');
const platforms = json('platforms.json');
const { platform, arch } = process;
const libc = platform === 'linux' && (process.report.getReport().header.glibcVersionRuntime ? 'glibc' : 'musl');
const target = `${platform}-${arch}${libc === 'musl' ? '-musl' : ''}`;
if (!folder) throw new Error('usage: node package-native.mjs <out folder>');
if (!platforms.includes(target))
  throw new Error(`${target} is none of the platforms with a package, in platforms.json: ${platforms.join(', ')}`);
if (!existsSync(binary)) throw new Error(`${binary} is missing: run 'npm run build:native' first`);

const { version, license, repository, engines, publishConfig } = json('package.json');
const manifest = {
  name: `@fewbit/kernels-cpu-${target}`,
  version,
  description: `Native CPU kernels for Fewbit, built for ${target}.`,
  ...{ license, repository, engines, publishConfig },
  os: [platform],
  cpu: [arch],
  ...(libc && { libc: [libc] }),
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
