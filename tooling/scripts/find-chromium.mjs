import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';

const names = ['chromium', 'chromium-browser', 'google-chrome'];

/** Where FEWBIT_CHROMIUM points, else a Chromium in PATH, or undefined. */
export function findChromium() {
  const folders = (process.env.PATH ?? '').split(delimiter);
  return process.env.FEWBIT_CHROMIUM || folders.flatMap((folder) => names.map((name) => join(folder, name))).find(runs);
}

function runs(file) {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
