import { isatty } from 'node:tty';
import { run } from './run.js';

const interrupt = new AbortController();
process.once('SIGINT', () => interrupt.abort(new Error('Interrupted')));
process.once('SIGTERM', () => interrupt.abort(new Error('Terminated')));
// a reader that stops early (`fewbit … | head`) is no error
process.stdout.on('error', (error: NodeJS.ErrnoException) => process.exit(error.code === 'EPIPE' ? 0 : 1));
// nobody reads the progress: the work goes on
process.stderr.on('error', () => undefined);

process.exitCode = await run(process.argv.slice(2), {
  get stdin() {
    return process.stdin;
  },
  ...(isatty(0) && process.stdout.isTTY && { terminal: process.stdout }),
  stdout: (text) => void process.stdout.write(text),
  stderr: (text) => void process.stderr.write(text),
  interactive: process.stderr.isTTY === true,
  signal: interrupt.signal,
});
