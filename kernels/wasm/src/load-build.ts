import { currentPlatform, type Platform } from './platform.js';

/** The compiled kernels, and the instructions that they use, in words. */
export interface Build {
  readonly module: WebAssembly.Module;
  readonly instructions: string;
}

/** The build with fused multiply-add where the engine takes it, else the plain one. Throws where neither runs. */
export async function fastestBuild(platform = currentPlatform()): Promise<Build> {
  const build = (await relaxedBuild(platform)) ?? (await plainBuild(platform));
  if (!build) throw new Error('this JavaScript engine has no WebAssembly SIMD or threads');
  return build;
}

export async function relaxedBuild(platform = currentPlatform()): Promise<Build | undefined> {
  const code = await read('fewbit-relaxed.wasm', platform);
  // Node 20 knows relaxed SIMD but hides it; later versions need no flag.
  if (!WebAssembly.validate(code)) await platform.allowRelaxedSimd();
  return compile(code, 'SIMD with fused multiply-add');
}

export async function plainBuild(platform = currentPlatform()): Promise<Build | undefined> {
  return compile(await read('fewbit.wasm', platform), 'SIMD');
}

async function compile(code: Uint8Array<ArrayBuffer>, instructions: string): Promise<Build | undefined> {
  return WebAssembly.validate(code) ? { module: await WebAssembly.compile(code), instructions } : undefined;
}

/** `generated` stands beside both `src` and `dist`. */
async function read(name: string, { read: readFile }: Platform): Promise<Uint8Array<ArrayBuffer>> {
  const url = new URL(`../generated/${name}`, import.meta.url);
  try {
    return await readFile(url);
  } catch (cause) {
    throw new Error(`generated/${name} cannot be read: build @fewbit/kernels-wasm or install it again`, { cause });
  }
}
