import { type Browser, chromium } from 'playwright-core';
import { findChromium } from '../../../scripts/find-chromium.mjs';

/** A headless Chromium, or undefined where there is none. */
export async function openChromium(): Promise<Browser | undefined> {
  const executablePath = findChromium();
  return executablePath === undefined ? undefined : chromium.launch({ executablePath, args: ['--no-sandbox'] });
}
