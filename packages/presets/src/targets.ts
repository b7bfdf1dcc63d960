/**
 * What engines load, as rules. Sources: vLLM model_executor/layers/quantization and utils/marlin_utils.py, transformers
 * quantizers/*, GPTQModel nn_modules/qlinear, compressed-tensors; as of August 2026.
 */
import { FewbitError } from '@fewbit/core';
import { type ActivationSpec, activationName, type FloatSpec, type FormatSpec, formatName, type IntSpec } from '@fewbit/formats';
import { type LinearPlan, linears, type ModelPlan } from '@fewbit/models';

/** A quantized model, by what its headers tell. */
export interface Candidate {
  /** A layout's id. */
  readonly layout: string;
  readonly plan: ModelPlan;
  /** The format of a linear module, or undefined where it is in float. */
  format(module: string): FormatSpec | undefined;
  /** How the inputs of a linear module are rounded. Default: not at all. */
  activation?(module: string): ActivationSpec | undefined;
  /** How keys and values are rounded. Default: not at all. */
  readonly keyValues?: ActivationSpec;
  /** What a linear module's tensors hold which layers that run as one must have the same of, in words. Default: nothing, or the same. */
  shared?(module: string): string;
  /** Whether the groups of a linear module are of columns out of order (act-order without static groups). Default: they are not. */
  columnGrouped?(module: string): boolean;
}

interface Layer {
  readonly spec: FormatSpec;
  readonly linear: LinearPlan;
  readonly activation: ActivationSpec | undefined;
  readonly columnGrouped: boolean;
}

/** What an engine refuses of a layer, and what to do instead; undefined for what it loads. */
type Rule = (layer: Layer) => string | undefined;

interface Target {
  /** The layouts that it reads, each with the rules for its layers. */
  readonly layouts: Readonly<Record<string, readonly Rule[]>>;
  /** It runs q, k, v as one matrix, and gate and up: their formats and second-level scales must be the same. */
  readonly fuses: boolean;
  /** What it refuses of rounded keys and values, and what to do instead. Default: nothing that the layout holds. */
  keyValues?(spec: ActivationSpec): string | undefined;
}

const wholeGroups: Rule = ({ spec, linear }) => {
  if (!('granularity' in spec) || spec.granularity.kind !== 'group' || linear.cols % spec.granularity.size === 0) return undefined;
  return `${linear.cols} inputs are not a multiple of the group ${spec.granularity.size}: choose a group that divides them, or --group -1`;
};
const groupsOf =
  (...sizes: number[]): Rule =>
  ({ spec }) => {
    if (!('granularity' in spec) || spec.granularity.kind !== 'group' || sizes.includes(spec.granularity.size)) return undefined;
    return `groups of ${spec.granularity.size} are not loaded: use --group ${sizes.join(', ')} or -1`;
  };
const integer =
  (holds: (spec: IntSpec) => boolean, advice: string): Rule =>
  ({ spec }) =>
    spec.kind !== 'int' || holds(spec) ? undefined : `${formatName(spec)} is not loaded: ${advice}`;
const isSymmetric = ({ scheme }: IntSpec) => scheme.startsWith('symmetric');
const wholeWords: Rule = ({ spec, linear: { rows, cols } }) => {
  if (spec.kind !== 'int') return undefined;
  const unit = spec.bits === 3 ? 32 : 32 / spec.bits;
  if (rows % unit === 0 && cols % unit === 0) return undefined;
  return `${rows} outputs and ${cols} inputs are not multiples of ${unit}, the codes of a word: use --layout compressed-tensors`;
};
const noConv1d: Rule = ({ linear }) =>
  linear.transposed ? 'it is a Conv1D, which compressed-tensors does not wrap: use --layout gptq' : undefined;

/** compressed-tensors 0.20 refuses `actorder: group`. */
const groupsInOrder: Rule = ({ columnGrouped }) =>
  columnGrouped
    ? 'its groups are of columns out of order (weight_g_idx), which compressed-tensors has given up: use --layout gptq'
    : undefined;

/** vLLM loads fused matrices part by part, so that all but the last must end with a block. */
const wholeBlocks: Rule = ({ spec, linear }) =>
  spec.kind === 'float' && spec.granularity.kind === 'block' && linear.rows % spec.granularity.rows !== 0
    ? `${linear.rows} outputs are not a multiple of the block ${spec.granularity.rows}, as fused layers want: use --layout compressed-tensors with --granularity channel`
    : undefined;
/** transformers decodes FP8 by blocks that divide the matrix (finegrained_fp8.py, `_dequantize_one`). */
const wholeTiles: Rule = ({ spec, linear: { rows, cols } }) => {
  if (!('granularity' in spec) || spec.granularity.kind !== 'block') return undefined;
  const { rows: height, cols: width } = spec.granularity;
  if (rows % height === 0 && cols % width === 0) return undefined;
  return `${rows} outputs and ${cols} inputs are not multiples of the block ${height}x${width}: choose a --group that divides them, or --layout compressed-tensors`;
};
const isMicroscaled = ({ scaleType }: FloatSpec) => scaleType === 'E8M0' || scaleType === 'E4M3';
const floatGranularity: Rule = ({ spec }) =>
  spec.kind === 'float' && !isMicroscaled(spec) && spec.granularity.kind === 'group'
    ? 'FP8 has no groups there: use --granularity channel, tensor or block'
    : undefined;

/** Products for which vLLM has kernels (compressed_tensors.py, `_get_scheme_from_parts`). */
const roundedInputs: Rule = ({ spec, linear, activation }) => {
  const per = 'granularity' in spec ? spec.granularity.kind : undefined;
  const wholeRows = per === 'channel' || per === 'tensor';
  if (!activation) return spec.kind === 'int' && per === 'tensor' ? 'use --granularity channel or group' : undefined;
  const inputs = activation.format;
  const refuse = (advice: string) => `${formatName(spec)} by inputs ${activationName(activation)} is no product that it has: ${advice}`;
  if (spec.kind === 'int' && inputs.kind === 'int') {
    if (!isSymmetric(spec)) return refuse('use --symmetric');
    if (spec.bits === 8) return wholeRows ? undefined : refuse('use --group -1');
    return spec.bits === 4 ? undefined : refuse('use int4 or int8');
  }
  if (spec.kind === 'int' && inputs.kind === 'float') {
    const group = spec.granularity.kind === 'group' && spec.granularity.size === 128;
    const holds = spec.bits === 4 && isSymmetric(spec) && group && !isMicroscaled(inputs) && activation.scaling === 'dynamic';
    if (!holds) return refuse('use --format int4 --symmetric --group 128 with --activations fp8');
    if (linear.rows % 128 !== 0 || linear.cols % 128 !== 0)
      return refuse(`${linear.rows} outputs and ${linear.cols} inputs must be multiples of 128; leave --activations out`);
    if (spec.scaleType === 'BF16') return undefined;
    return refuse(
      `scales must be BF16, not ${spec.scaleType}; start from the model in bfloat16 (fewbit convert --layout float --dtype bf16)`,
    );
  }
  if (spec.kind !== 'float' || inputs.kind !== 'float') return refuse('round weights and inputs alike');
  if (isMicroscaled(spec) || isMicroscaled(inputs)) {
    const same = spec.element === inputs.element && spec.scaleType === inputs.scaleType;
    return same ? undefined : refuse('round weights and inputs to the same format');
  }
  if (per === 'block')
    return inputs.granularity.kind === 'group' ? undefined : refuse('leave --activations out, or use --granularity channel');
  return inputs.granularity.kind === 'group' ? refuse('use --activations fp8') : undefined;
};

const marlinGroups = groupsOf(32, 64, 128);

const targets: Readonly<Record<string, Target>> = {
  vllm: {
    fuses: true,
    keyValues: ({ format }) => (format.kind === 'float' ? undefined : 'keys and values are rounded to FP8 alone: use --kv fp8'),
    layouts: {
      'compressed-tensors': [
        noConv1d,
        wholeGroups,
        marlinGroupsOfIntegers(),
        integer(
          (spec) => isSymmetric(spec) || spec.bits === 4 || spec.bits === 8,
          'asymmetric integers have 4 or 8 bits, or use --symmetric',
        ),
        floatGranularity,
        wholeBlocks,
        roundedInputs,
      ],
      gptq: [
        wholeWords,
        wholeGroups,
        marlinGroups,
        integer(
          (spec) => isSymmetric(spec) && (spec.bits === 4 || spec.bits === 8),
          'use --symmetric with int4 or int8, or --layout compressed-tensors',
        ),
      ],
      awq: [wholeGroups, marlinGroups],
      fp8: [wholeBlocks],
    },
  },
  transformers: {
    fuses: false,
    layouts: {
      'compressed-tensors': [
        noConv1d,
        groupsInOrder,
        wholeGroups,
        integer((spec) => spec.bits !== 8 || spec.granularity.kind !== 'tensor', 'use --granularity channel or group'),
      ],
      gptq: [wholeWords, wholeGroups],
      'gptq-v2': [wholeWords, wholeGroups],
      awq: [wholeGroups],
      bnb: [],
      fp8: [wholeTiles],
    },
  },
  gptqmodel: {
    fuses: false,
    layouts: {
      gptq: [wholeWords, groupsOf(16, 32, 64, 128, 256, 512, 1024)],
      'gptq-v2': [wholeWords, groupsOf(16, 32, 64, 128, 256, 512, 1024)],
      awq: [wholeGroups, groupsOf(16, 32, 64, 128)],
    },
  },
  bitsandbytes: { fuses: false, layouts: { bnb: [] } },
  'llama.cpp': { fuses: false, layouts: { gguf: [] } },
};

export const targetNames: readonly string[] = Object.keys(targets);

/** What `name` would refuse of a model, each with what to change; empty where it loads it. Throws `usage` for an unknown engine. */
export function targetProblems(name: string, candidate: Candidate): readonly string[] {
  const target = Object.hasOwn(targets, name) ? targets[name]! : undefined;
  if (!target) throw new FewbitError('usage', `Unknown target "${name}". Choose one of: ${targetNames.join(', ')}.`);
  const rules = Object.hasOwn(target.layouts, candidate.layout) ? target.layouts[candidate.layout]! : undefined;
  if (!rules) return [`${name} does not read layout ${candidate.layout}: use --layout ${Object.keys(target.layouts).join(', ')}`];
  const problems = linears(candidate.plan).flatMap((linear) => {
    const spec = candidate.format(linear.module);
    const activation = candidate.activation?.(linear.module);
    const columnGrouped = candidate.columnGrouped?.(linear.module) ?? false;
    const found = spec && rules.map((rule) => rule({ spec, linear, activation, columnGrouped })).find((problem) => problem !== undefined);
    return found ? [`${linear.module}: ${found}`] : [];
  });
  const cache = candidate.keyValues && target.keyValues?.(candidate.keyValues);
  return [...problems, ...(target.fuses ? fusionProblems(candidate) : []), ...(cache ? [cache] : [])];
}

/** Throws `unsupported`, naming what to change, where an engine would refuse a model. */
export function requireTarget(name: string, candidate: Candidate): void {
  const [first, ...others] = targetProblems(name, candidate);
  if (first === undefined) return;
  const more = others.length > 0 ? ` (and ${others.length} more like it)` : '';
  throw new FewbitError('unsupported', `Target ${name} would refuse this model: ${first}${more}.`);
}

/** The engines that load a model. */
export function targetsOf(candidate: Candidate): readonly string[] {
  return targetNames.filter((name) => targetProblems(name, candidate).length === 0);
}

/** The linears of one input are what is fused. */
function fusionProblems({ plan, format, shared = () => '' }: Candidate): string[] {
  return plan.blocks.flatMap(({ sites }) =>
    sites.flatMap(({ linears: members }) => {
      const who = `${members.map(({ module }) => module).join(', ')} become one matrix and must have one`;
      const names = new Set(members.map(({ module }) => nameOf(format(module))));
      if (names.size > 1) return [`${who} format, not ${[...names].join(', ')}`];
      const scales = new Set(members.map(({ module }) => shared(module)));
      return scales.size > 1 ? [`${who} tensor scale, not ${[...scales].join(', ')}`] : [];
    }),
  );
}

function nameOf(spec: FormatSpec | undefined): string {
  return spec ? formatName(spec) : 'float';
}

function marlinGroupsOfIntegers(): Rule {
  return (layer) => (layer.spec.kind === 'int' ? marlinGroups(layer) : undefined);
}
