import { createInterface, type Interface } from 'node:readline';
import { FewbitError } from '@fewbit/core';
import { openBackend, openPretrained } from '@fewbit/presets';
import { type Chat, createChat, type GenerateSummary } from '@fewbit/runtime';
import type { Command } from 'commander';
import { type GlobalOptions, type Io, printJson } from '../io.js';
import { kernelReport, tellDecoded } from '../kernel-report.js';
import { addModelOptions, type ModelFlags, modelOptionsOf } from '../model-options.js';
import { addSamplingOptions, type SamplingFlags, samplingOf } from '../sampling-options.js';

interface Options extends GlobalOptions, SamplingFlags, ModelFlags {
  readonly system?: string;
  readonly plain?: boolean;
  readonly verbose?: boolean;
}

interface Turn extends GenerateSummary {
  readonly prompt: string;
}

export function addChat(program: Command, io: Io): void {
  const command = program
    .command('chat')
    .description('talk with a model, line by line')
    .argument('<model>', 'a Hugging Face model directory or a .gguf file, float or quantized')
    .option('--system <text>', 'what the model is told before the conversation')
    .option('--plain', "without the model's chat template: lines as plain text");
  addModelOptions(addSamplingOptions(command, { maxTokens: 1024, temperature: 0.7 }))
    .option('--verbose', 'also tell on stderr what runs the model')
    .option('--json', 'one JSON document on stdout, once the input has ended')
    .action(async (path: string, _: unknown, command: Command) => {
      const options = command.optsWithGlobals<Options>();
      const { system, plain, json, verbose } = options;
      const modelOptions = modelOptionsOf(options);
      const { backend } = await openBackend(options);
      const { model, tokenizer, eos, close } = await openPretrained(path, backend, modelOptions);
      try {
        tellDecoded(io, model, verbose);
        if (!plain && !tokenizer.renderChat) {
          throw new FewbitError('usage', 'The model has no chat template: it was not made for conversations. --plain does without.');
        }
        const chat = createChat(model, tokenizer, { ...samplingOf(options), eos, ...(system && { system }), ...(plain && { plain }) });
        try {
          const turns = await converse(chat, io, json === true);
          if (json) printJson(io, { model: path, messages: chat.messages, turns, kernels: kernelReport(model) });
        } finally {
          chat.close();
        }
      } finally {
        await close();
        await backend.close();
      }
    });
}

const help = `/reset          starts over
/system <text>  tells the model what it is, and starts over
/exit           leaves, as Ctrl-D does
Ctrl-C          stops an answer
`;

/** Answers line after line until the input ends. Throws `cancelled` when the program is to end. */
async function converse(chat: Chat, io: Io, json: boolean): Promise<Turn[]> {
  const terminal = json ? undefined : io.terminal;
  const lines = createInterface({ input: io.stdin, ...(terminal && { output: terminal, terminal: true, prompt: '> ' }) });
  // from now on no line is missed
  const typed = lines[Symbol.asyncIterator]();
  const answers = interrupts(lines, io);
  const turns: Turn[] = [];
  const end = () => lines.close();
  io.signal.addEventListener('abort', end, { once: true });
  try {
    if (terminal) io.stderr('/help shows what there is.\n');
    if (terminal) lines.prompt();
    for await (const line of typed) {
      const text = line.trim();
      if (text === '/exit') break;
      if (text.startsWith('/')) obey(text, chat, io);
      else if (text !== '') {
        const summary = await answer(chat, text, answers.signal(), json ? () => undefined : io.stdout).catch((error: unknown) => {
          // a user goes on after an answer that was stopped, and after a question too long; a program that reads the answers does not
          if (!terminal || io.signal.aborted || !FewbitError.is(error)) throw error;
          if (error.code !== 'cancelled') io.stderr(`fewbit: ${error.message}\n`);
        });
        answers.done();
        if (!json) io.stdout('\n');
        if (summary) turns.push({ prompt: text, ...summary });
      }
      if (terminal) lines.prompt();
    }
    if (io.signal.aborted) throw new FewbitError('cancelled', 'Chat stopped.', { cause: io.signal.reason });
    return turns;
  } finally {
    io.signal.removeEventListener('abort', end);
    lines.close();
    // or a pipe that stays open would keep the program
    io.stdin.destroy();
  }
}

async function answer(chat: Chat, text: string, signal: AbortSignal, write: (piece: string) => void): Promise<GenerateSummary> {
  const stream = chat.send(text, { signal });
  let next = await stream.next();
  for (; !next.done; next = await stream.next()) write(next.value);
  return next.value;
}

function obey(command: string, chat: Chat, io: Io): void {
  const [name, ...words] = command.split(/\s+/);
  if (name === '/reset') chat.reset();
  else if (name === '/system') chat.reset(words.join(' '));
  else io.stderr(name === '/help' ? help : `${name} is no command.\n${help}`);
}

/** Ctrl-C on a terminal, and the program's own signal: `signal` is for the next answer, and `done` ends it. */
function interrupts(lines: Interface, io: Io): { signal(): AbortSignal; done(): void } {
  let current: AbortController | undefined;
  lines.on('SIGINT', () => {
    if (current) return current.abort();
    // what was typed is dropped
    lines.write(null, { ctrl: true, name: 'e' });
    lines.write(null, { ctrl: true, name: 'u' });
    io.stderr('\n/exit or Ctrl-D leaves.\n');
    lines.prompt();
  });
  return {
    signal() {
      current = new AbortController();
      return AbortSignal.any([io.signal, current.signal]);
    },
    done() {
      current = undefined;
    },
  };
}
