import type { ActivationRounding, KeyValueRounding } from '@fewbit/formats';
import type { DeviceTensor, Ops } from '@fewbit/kernels';
import type { AttentionPlan, BlockPlan, LinearPlan, NormPlan } from '@fewbit/models';
import { applyNorm } from './apply-norm.js';
import { storeRows } from './key-value-cache.js';
import type { BlockStages, BlockWeights, SequenceRows, StageContext } from './types.js';

/**
 * A pre-norm transformer block (Vaswani et al. 2017, with the norms of Radford et al. 2019) in five stages; shapes are
 * residual [m, hidden], inputs [m, cols of the site's linears]. Every stage but the last leaves one site's input ready.
 */
export const blockStages: BlockStages = (block) => {
  const [attentionInput, attentionOutput, mlpInput, mlpDown] = block.sites;
  return [
    {
      site: attentionInput!,
      run: ({ residual }, { backend, weights }) => ({ residual, input: applyNorm(backend.ops, block.attentionNorm, weights, residual) }),
    },
    {
      site: attentionOutput!,
      run: ({ residual, input }, context) => ({ residual, input: attend(block, input!, context) }),
    },
    {
      site: mlpInput!,
      run({ residual, input }, context) {
        const { weights } = context;
        const { ops } = context.backend;
        const joined = join(ops, residual, linear(block.output, input!, context), block.attentionPostNorm, weights);
        return { residual: joined, input: applyNorm(ops, block.mlpNorm, weights, joined) };
      },
    },
    {
      site: mlpDown!,
      run: ({ residual, input }, context) => ({ residual, input: expand(block, input!, context) }),
    },
    {
      run: ({ residual, input }, context) => ({
        residual: join(context.backend.ops, residual, linear(block.mlp.down, input!, context), block.mlpPostNorm, context.weights),
      }),
    },
  ];
};

/** The keys, turned to the positions of the one sequence of `context`, and values [m, keyValueHeads·headSize] of the attention's input, before they are rounded. */
export function keysAndValues(
  { attention, projections }: BlockPlan,
  input: DeviceTensor,
  context: StageContext,
): { readonly keys: DeviceTensor; readonly values: DeviceTensor } {
  const { ops } = context.backend;
  const [, keys, values] = project(projections, attention, input, context);
  return { keys: turn(ops, headNorm(ops, attention.keyNorm, context.weights, keys), attention, context.sequences[0]!.start), values };
}

function attend({ attention, projections }: BlockPlan, input: DeviceTensor, context: StageContext): DeviceTensor {
  const { backend, weights, sequences, keyValues } = context;
  const { ops } = backend;
  const [q, k, v] = project(projections, attention, input, context);
  const queries = headNorm(ops, attention.queryNorm, weights, q);
  const keys = headNorm(ops, attention.keyNorm, weights, k);
  if (sequences.length === 1) return attendTo(ops, attention, ready(ops, attention, queries, keys, v, sequences[0]!, keyValues));
  const starts = firstRows(sequences);
  const each = sequences.map((sequence, i) => {
    const [query, key, value] = [queries, keys, v].map((all) => ops.rows(all, starts[i]!, sequence.rows)) as [
      DeviceTensor,
      DeviceTensor,
      DeviceTensor,
    ];
    return ready(ops, attention, query, key, value, sequence, keyValues);
  });
  // one behind the other, so that a backend may share out the work of all of them at once
  const outputs = each.map((one) => attendTo(ops, attention, one));
  // they take the place of the queries, which nothing needs any more
  for (const [i, output] of outputs.entries()) ops.store(queries, output, starts[i]!);
  return queries;
}

/** The first row of each sequence. */
function firstRows(sequences: readonly SequenceRows[]): number[] {
  let end = 0;
  return sequences.map(({ rows }) => {
    end += rows;
    return end - rows;
  });
}

/** A sequence's queries, turned, and the pages that they attend to. */
interface ReadySequence {
  readonly queries: DeviceTensor;
  readonly keys: readonly DeviceTensor[];
  readonly values: readonly DeviceTensor[];
  readonly start: number;
}

/** Turns a sequence's queries and keys; its new keys and values join its cache: rounded ones, where they are rounded. */
function ready(
  ops: Ops,
  attention: AttentionPlan,
  queries: DeviceTensor,
  keys: DeviceTensor,
  values: DeviceTensor,
  { start, cache }: SequenceRows,
  rounding: KeyValueRounding | undefined,
): ReadySequence {
  const query = turn(ops, queries, attention, start);
  const turned = turn(ops, keys, attention, start);
  const toRound = cache?.rounds ? undefined : rounding;
  const key = toRound ? ops.roundActivations(turned, toRound.keys) : turned;
  const value = toRound ? ops.roundActivations(values, toRound.values) : values;
  if (!cache) return { queries: query, keys: [key], values: [value], start };
  storeRows(ops, cache.keys, key, start);
  storeRows(ops, cache.values, value, start);
  return { queries: query, keys: cache.keys, values: cache.values, start };
}

function attendTo(
  ops: Ops,
  { heads, keyValueHeads, headSize, scale, window, softcap }: AttentionPlan,
  { queries, keys, values, start }: ReadySequence,
): DeviceTensor {
  const options = { heads, keyValueHeads, headSize, scale, start, ...(window && { window }), ...(softcap && { softcap }) };
  return ops.attention(queries, keys, values, options);
}

/** Queries [m, heads·headSize], keys and values [m, keyValueHeads·headSize]. */
function project(
  projections: BlockPlan['projections'],
  { heads, keyValueHeads, headSize }: AttentionPlan,
  input: DeviceTensor,
  context: StageContext,
): [DeviceTensor, DeviceTensor, DeviceTensor] {
  if (projections.kind === 'separate') {
    const { query, key, value } = projections;
    return linears([query, key, value], input, context) as [DeviceTensor, DeviceTensor, DeviceTensor];
  }
  const { ops } = context.backend;
  const all = linear(projections.all, input, context);
  const queries = heads * headSize;
  const keys = keyValueHeads * headSize;
  return [ops.columns(all, 0, queries), ops.columns(all, queries, keys), ops.columns(all, queries + keys, keys)];
}

function headNorm(ops: Ops, norm: NormPlan | undefined, weights: BlockWeights, x: DeviceTensor): DeviceTensor {
  return norm ? applyNorm(ops, norm, weights, x) : x;
}

function turn(ops: Ops, x: DeviceTensor, { rotary, headSize }: AttentionPlan, start: number): DeviceTensor {
  return rotary ? ops.rotate(x, headSize, rotary, start) : x;
}

function expand({ mlp }: BlockPlan, input: DeviceTensor, context: StageContext): DeviceTensor {
  const { ops } = context.backend;
  if (mlp.kind === 'plain') return ops.activate(linear(mlp.up, input, context), mlp.activation);
  const [up, gate] = linears([mlp.up, mlp.gate], input, context) as [DeviceTensor, DeviceTensor];
  return ops.gated(gate, up, mlp.activation);
}

/** residual + output, normalised before where the model does so. */
function join(ops: Ops, residual: DeviceTensor, output: DeviceTensor, postNorm: NormPlan | undefined, weights: BlockWeights): DeviceTensor {
  return ops.add(residual, postNorm ? applyNorm(ops, postNorm, weights, output) : output);
}

function linear(plan: LinearPlan, x: DeviceTensor, context: StageContext): DeviceTensor {
  return linears([plan], x, context)[0]!;
}

/** Linears of one input, which is rounded once for those that round it alike. */
function linears(plans: readonly LinearPlan[], x: DeviceTensor, { backend: { ops }, weights, activations }: StageContext): DeviceTensor[] {
  const seen = new Map<ActivationRounding | undefined, DeviceTensor>([[undefined, x]]);
  return plans.map(({ module }) => {
    const rounding = activations?.get(module);
    const input = seen.get(rounding) ?? ops.roundActivations(x, rounding!);
    seen.set(rounding, input);
    return ops.matmul(input, weights.get(`${module}.weight`)!, weights.get(`${module}.bias`));
  });
}
