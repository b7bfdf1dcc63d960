import { currentPlatform, type Platform } from './platform.js';

/** The compiled kernels, and the instructions that they use, in words. */
export interface Build {
  readonly module: WebAssembly.Module;
  readonly instructions: string;
}

/** `generated` stands beside both `src` and `dist`. Written out, so that bundlers find the files. */
const relaxed = new URL('../generated/fewbit-relaxed.wasm', import.meta.url);
const plain = new URL('../generated/fewbit.wasm', import.meta.url);

/** The build with fused multiply-add where the engine takes it, else the plain one. Throws where neither runs. */
export async function fastestBuild(platform = currentPlatform()): Promise<Build> {
  const build = (await relaxedBuild(platform)) ?? (await plainBuild(platform));
  if (!build) throw new Error('this JavaScript engine has no WebAssembly SIMD or threads');
  return build;
}

export async function relaxedBuild(platform = currentPlatform()): Promise<Build | undefined> {
  const code = await read(relaxed, platform);
  // Node 20 knows relaxed SIMD but hides it; later versions need no flag.
  if (!WebAssembly.validate(code)) await platform.allowRelaxedSimd();
  return compile(code, 'SIMD with fused multiply-add');
}

export async function plainBuild(platform = currentPlatform()): Promise<Build | undefined> {
  return compile(await read(plain, platform), 'SIMD');
}

async function compile(code: Uint8Array<ArrayBuffer>, instructions: string): Promise<Build | undefined> {
  return WebAssembly.validate(code) ? { module: await WebAssembly.compile(code), instructions } : undefined;
}

async function read(url: URL, { read: readFile }: Platform): Promise<Uint8Array<ArrayBuffer>> {
  try {
    return await readFile(url);
  } catch (cause) {
    throw new Error(`${url.href} cannot be read: build @fewbit/kernels-wasm or install it again`, { cause });
  }
}
