import { type CalibrationSet, gather, meanSquare } from '@fewbit/calibration';
import { openModelDirectory } from '@fewbit/checkpoint';
import type { Layout } from '@fewbit/formats';
import type { Backend } from '@fewbit/kernels';
import type { BlockPlan } from '@fewbit/models';
import { blockStages, freeBlock, freeGlobals, loadBlock, loadGlobals, openWeights, type WeightSource } from '@fewbit/runtime';
import { Course } from './course.js';
import { memoryFor, stateBytes } from './plan/state-sizes.js';
import { measure } from './quantize-block.js';
import { advance } from './sequence-state.js';
import { calibrating, type Sequence, startSequences } from './start-sequences.js';
import type { Progress } from './types.js';

export interface MeasureOptions {
  /** A model directory, or a GGUF file. */
  readonly model: string;
  /** Those that the model may be in. Default: none, it is in float. */
  readonly layouts?: readonly Layout[];
  readonly calibration: CalibrationSet;
  readonly backend: Backend;
  /** Beside which a file holds the sequences' tensors between stages. Default: they stay in memory. */
  readonly spill?: string | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((progress: Progress) => void) | undefined;
}

/**
 * How much an error in each input of each linear layer counts: its mean square over the calibration tokens, by module, [inputs]. One pass
 * through the model as it is, which is what llama.cpp's imatrix holds (tools/imatrix). Throws `numeric` for NaN or Inf, `cancelled` when the
 * signal fires.
 */
export async function measureImportance(options: MeasureOptions): Promise<ReadonlyMap<string, Float32Array>> {
  const { backend, calibration, spill, onProgress, signal } = options;
  const directory = await openModelDirectory(options.model);
  try {
    const source = await openWeights(directory, options.layouts);
    const { plan } = source;
    const tokens = calibration.windows.reduce((sum, window) => sum + window.length, 0);
    const course = new Course(plan.blocks.length * tokens, onProgress, signal);
    const globals = await loadGlobals(source, backend);
    try {
      const keeping = spill === undefined ? memoryFor(stateBytes(plan, tokens, 1), backend) : { beside: spill };
      const { sequences, close } = await course.step('load', 'embeddings', 0, () =>
        startSequences(source, globals, backend, calibrating(calibration), { withFloat: false, keeping }),
      );
      try {
        const importance = new Map<string, Float32Array>();
        for (const block of plan.blocks) await measureBlock(block, source, sequences, backend, course, importance);
        return importance;
      } finally {
        await close();
      }
    } finally {
      freeGlobals(globals, backend);
    }
  } finally {
    await directory.close();
  }
}

const power = meanSquare();

async function measureBlock(
  block: BlockPlan,
  source: WeightSource,
  sequences: readonly Sequence[],
  backend: Backend,
  course: Course,
  importance: Map<string, Float32Array>,
): Promise<void> {
  const weights = await loadBlock(source, block, backend);
  try {
    const stages = blockStages(block);
    for (const stage of stages) {
      const { site } = stage;
      const at = `${block.prefix} ${site?.id ?? 'output'}`;
      const gathering = site && gather([power], site.linears[0]!.cols, backend.algebra);
      for (const sequence of sequences) {
        const rows = sequence.tokens.length;
        await course.step('calibrate', at, rows / stages.length, async () => {
          await advance(stage, rows, sequence.quantized, { backend, weights });
          if (gathering) await measure(gathering, sequence, undefined, at);
        });
      }
      if (!site || !gathering) continue;
      const measured = Float32Array.from(gathering.measured().get(power));
      for (const { module } of site.linears) importance.set(module, measured);
    }
  } finally {
    freeBlock(weights, backend);
  }
}
