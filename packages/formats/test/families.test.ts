import {
  bitsandbytes,
  compressedTensors,
  type FormatSpec,
  fewbit,
  fp8,
  type Granularity,
  ggmlType,
  ggmlTypeNames,
  gguf,
  type IntSpec,
  type TwoLevelSpec,
} from '../src/index.js';
import { formatContract } from './format-contract.js';

const group = (size: number): Granularity => ({ kind: 'group', size });
const channel: Granularity = { kind: 'channel' };
const flat = (size: number): Granularity => ({ kind: 'flat', size });

// integers: every scheme, every granularity once
const int = (bits: IntSpec['bits'], scheme: IntSpec['scheme'], granularity: Granularity): IntSpec => ({
  kind: 'int',
  bits,
  scheme,
  granularity,
  scaleType: 'F32',
});
const words = { layout: compressedTensors, beside: ['weight_shape'] };
const own = { layout: fewbit };
const blocks = {
  layout: bitsandbytes,
  beside: [
    'weight.quant_map',
    'weight.nested_quant_map',
    'weight.quant_state.bitsandbytes__nf4',
    'weight.quant_state.bitsandbytes__fp4',
    'weight_format',
  ],
};
formatContract(int(4, 'symmetric-full', group(32)), { stored: words });
formatContract(int(3, 'asymmetric', group(7)), { stored: words });
formatContract(int(8, 'symmetric-restricted', channel), { stored: words });
formatContract(int(2, 'asymmetric-free', { kind: 'block', rows: 2, cols: 5 }), { stored: own });
formatContract(int(5, 'symmetric-signed', flat(24)), { stored: own });
formatContract(int(8, 'symmetric-absmax', channel), { halves: true, stored: blocks });

// integers under two levels of scales
const twoLevel = (bits: 2 | 3 | 4, granularity: TwoLevelSpec['granularity'], scaleBits: 3 | 5, scaleRows: number): TwoLevelSpec => ({
  ...{ kind: 'two-level', bits, granularity, scaleBits, scaleRows },
  scaleType: 'F32',
});
formatContract(twoLevel(3, { kind: 'group', size: 16 }, 3, 16), { stored: own });
formatContract(twoLevel(2, { kind: 'group', size: 7 }, 5, 2), { stored: own });
formatContract(twoLevel(4, { kind: 'channel' }, 3, 3), { stored: own });

// floats
const float = (element: 'e4m3' | 'e5m2' | 'e2m1', granularity: Granularity, scaleType: 'F32' | 'BF16' | 'E8M0' | 'E4M3'): FormatSpec => ({
  kind: 'float',
  element,
  granularity,
  scaleType,
});
formatContract(float('e4m3', { kind: 'tensor' }, 'F32'), { stored: words });
formatContract(float('e4m3', channel, 'BF16'), { stored: words });
formatContract(float('e4m3', { kind: 'block', rows: 3, cols: 16 }, 'F32'), { stored: { layout: fp8 } });
formatContract(float('e5m2', group(16), 'F32'), { stored: own });
formatContract(float('e2m1', group(32), 'E8M0'), { stored: words });
formatContract(float('e4m3', group(32), 'E8M0'), { stored: words });
formatContract(float('e2m1', group(16), 'E4M3'), { stored: words });

// codebooks
const codebook = (levels: 'nf4' | 'bnb-fp4' | 'fitted', bits: 2 | 3 | 4 | 8, granularity: Granularity, nested = false): FormatSpec => ({
  kind: 'codebook',
  levels,
  bits,
  granularity,
  scaleType: levels === 'fitted' ? 'F16' : 'F32',
  ...(nested && { nested }),
});
formatContract(codebook('nf4', 4, flat(64)), { stored: blocks });
formatContract(codebook('bnb-fp4', 4, flat(32)), { stored: blocks });
formatContract(codebook('nf4', 4, flat(32), true), { stored: { ...blocks, bitsBeside: 32 } }); // the offset is in the quant_state
formatContract(codebook('fitted', 2, channel), { slack: 0.01, stored: own });
formatContract(codebook('fitted', 4, group(48)), { slack: 0.01, stored: own });
formatContract(codebook('fitted', 8, channel), { slack: 0.01, stored: own });

// the block types of ggml, with their scales in half precision; the search of sub-block scales is no exact one
const asReference = ['q4_0', 'q4_1', 'q5_0', 'q5_1', 'q8_0', 'tq1_0', 'tq2_0'];
for (const type of ggmlTypeNames)
  formatContract(
    { kind: 'ggml', type },
    {
      columns: ggmlType(type).block,
      magnitudes: [1, 0.05, 10],
      asReference: asReference.includes(type),
      stored: { layout: gguf },
      slack: 0.05,
    },
  );
