// Read by TypeScript and by AssemblyScript: addresses in the shared memory's first page. Counters that threads share have a cache line each.

/** Helpers wait for this to change: the job that the coordinator has begun. */
export const generation = 1024;
export const remaining = 1088;
export const finished = 1152;
/** Helpers that sleep until `generation` changes; 1 while the coordinator sleeps until `finished` does. */
export const sleepers = 1160;
export const waiting = 1168;
export const helpers = 1176;
export const stopped = 1216;
/** Address of the running job. */
export const job = 1220;
/** Set by a worker that trapped. */
export const failed = 1224;
/** Jobs that the host has handed in, counted, and that the coordinator has run. 1 while the coordinator sleeps; while the host waits to hear that all have run. */
export const submitted = 1280;
/** Times that the host has begun the queue anew, all of it having run. */
export const laps = 1284;
export const asleep = 1288;
export const completed = 1344;
export const listening = 1352;

/** A job, in float64 words: how many they are, what runs, on how much, where the threads' scratch memory lies; then the kernel's arguments. */
export const jobWords = 0;
export const jobKernel = 1;
export const jobTasks = 2;
export const scratchBase = 3;
export const scratchStride = 4;
export const firstArgument = 5;

export const queueStart = 65536;
export const queueBytes = 524288;
/** Where tensors begin. */
export const heapStart = 589824;

export const packLeft = 0;
export const packRight = 1;
export const multiply = 2;
export const multiplyRows = 3;
export const gram = 4;
export const packLeftDouble = 6;
export const multiplyDouble = 7;
export const choleskyPanel = 8;
export const inverseLower = 9;
export const add = 10;
export const scale = 11;
export const softcap = 12;
export const activate = 13;
export const gated = 14;
export const rmsNorm = 15;
export const layerNorm = 16;
export const rotate = 17;
export const attention = 18;
export const crossEntropy = 19;
export const stream = 20;
export const packCodes = 21;
export const quantizeTile = 22;
export const multiplyCodesRows = 23;
export const multiplyCodes = 24;
export const multiplyRowsShort = 25;
export const decodeRow = 26;
export const outlierMask = 27;
export const roundActivations = 28;
export const copyRows = 29;
export const pickRow = 30;
export const choleskyDiagonal = 31;
export const storePage = 32;
export const turnTokens = 33;
export const addSparse = 34;
export const putEntries = 35;
export const multiplyLevelsRows = 36;
export const decodeLevels = 37;
export const roundTile = 38;
export const sample = 39;
export const permuteColumns = 40;

export const silu = 0;
export const gelu = 1;
export const geluTanh = 2;
export const relu = 3;

/** Register tile: `tileRows` × `tileColumns` float32, half as many columns in float64. */
export const tileRows = 5;
export const tileColumns = 8;
export const tileColumnsDouble = 4;
/** Most of k that one packed block holds: its right panel (16 KiB) stays in the first-level cache. */
export const depth = 512;
export const depthDouble = 256;
/** Columns of the result per task. */
export const taskColumns = 64;
/** Side of the output square of one gram task: 32 × tileRows and 20 × tileColumns. */
export const gramSide = 160;
/** Rows and columns of a block in the triangular solvers: a multiple of tileRows and of tileColumnsDouble. */
export const blockSize = 60;
/** As pageKinds of @fewbit/kernels; of E5M2 is the rest. */
export const pageFloats = 0;
export const pageHalves = 1;
export const pageNibbles = 2;
export const pageBytes = 3;
export const pageE4m3 = 4;
/** What the right operand of a product is: float32, bf16, or codes of levels. */
export const rightFloats = 0;
export const rightShort = 1;
export const rightLevels = 2;
/** Packed levels (assembly/packed-levels.ts): how codes become levels. */
export const codingNibbles = 0;
export const codingBytes = 1;
export const codingE4m3 = 2;
export const codingE5m2 = 3;
/** Bytes that decoders may write behind the values that they are asked for. */
export const decodedPast = 64;
/** Elementwise and copies: values per task. */
export const taskValues = 16384;
/** Stream: bytes per task. */
export const taskBytes = 1048576;
/** Search for outlier features: columns per task. */
export const maskColumns = 64;
/** Sampling: bytes for the sums of one digit. */
export const digitSumBytes = 16384;
/** Attention: query rows per task, keys per step. */
export const queryRows = 80;
export const keyStep = 128;
/** Packed codes (assembly/packed-codes.ts): bytes of the header, rows per block, the most inputs of a chunk. */
export const headerBytes = 128;
export const blockRows = 8;
export const longestChunk = 128;
/** Types of scales. */
export const scaleFloat32 = 0;
export const scaleFloat16 = 1;
export const scaleBFloat16 = 2;
/** Products by codes with many rows of x: rows of x per tile; blocks and tiles per task; inputs whose unpacked weights are in the first-level cache, for all blocks of a task. */
export const tileTokens = 4;
export const taskBlocks = 4;
export const taskTiles = 64;
export const slabInputs = 256;
/** Where x is in bytes: inputs whose products add up in 16 bits. */
export const pieceInputs = 32;
/** Sparse products: rows of x that go together. */
export const sparseTokens = 4;
