import { type CalibrationSet, gather, meanSquare } from '@fewbit/calibration';
import { openModelDirectory } from '@fewbit/checkpoint';
import type { Layout } from '@fewbit/formats';
import type { Backend } from '@fewbit/kernels';
import type { BlockPlan } from '@fewbit/models';
import { blockStages, freeBlock, freeGlobals, loadBlock, loadGlobals, openWeights, type WeightSource } from '@fewbit/runtime';
import { Course } from './course.js';
import { measure, type Sequence, stageWork } from './quantize-block.js';
import { advance, release, rowsOf } from './sequence-state.js';
import { startSequences } from './start-sequences.js';
import type { Progress } from './types.js';

export interface MeasureOptions {
  /** A model directory, or a GGUF file. */
  readonly model: string;
  /** Those that the model may be in. Default: none, it is in float. */
  readonly layouts?: readonly Layout[];
  readonly calibration: CalibrationSet;
  readonly backend: Backend;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((progress: Progress) => void) | undefined;
}

/**
 * How much an error in each input of each linear layer counts: its mean square over the calibration tokens, by module, [inputs]. One pass
 * through the model as it is, which is what llama.cpp's imatrix holds (tools/imatrix). Throws `numeric` for NaN or Inf, `cancelled` when the
 * signal fires.
 */
export async function measureImportance(options: MeasureOptions): Promise<ReadonlyMap<string, Float32Array>> {
  const { backend, calibration, onProgress, signal } = options;
  const directory = await openModelDirectory(options.model);
  const sequences: Sequence[] = [];
  try {
    const source = await openWeights(directory, options.layouts);
    const { plan } = source;
    const tokens = calibration.windows.reduce((sum, window) => sum + window.length, 0);
    const total = plan.blocks.reduce((sum, block) => sum + stageWork(block) * (block.sites.length + 1) * tokens, 1);
    const course = new Course(total, onProgress, signal);
    const globals = await loadGlobals(source, backend);
    try {
      await course.step('load', 'embeddings', 0, () => startSequences(source, globals, backend, calibration.windows, false, sequences));
      const importance = new Map<string, Float32Array>();
      for (const block of plan.blocks) await measureBlock(block, source, sequences, backend, course, importance);
      return importance;
    } finally {
      for (const { quantized } of sequences) release(backend, quantized);
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
    for (const stage of blockStages(block)) {
      const { site } = stage;
      const at = `${block.prefix} ${site?.id ?? 'output'}`;
      const gathering = site && gather([power], site.linears[0]!.cols, backend.algebra);
      for (const sequence of sequences) {
        await course.step('calibrate', at, stageWork(block) * rowsOf(sequence.quantized), async () => {
          sequence.quantized = await advance(stage, sequence.quantized, { backend, weights });
          if (gathering) await measure(gathering, sequence, undefined, at, backend);
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
