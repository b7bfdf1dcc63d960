import type { FormatSpec, Granularity } from './types.js';

/** A short name for people: `int4 g128 symmetric-full`, `int8 channel asymmetric`. */
export function formatName(spec: FormatSpec): string {
  return `int${spec.bits} ${granularityName(spec.granularity)} ${spec.scheme}`;
}

function granularityName(granularity: Granularity): string {
  switch (granularity.kind) {
    case 'group':
      return `g${granularity.size}`;
    case 'block':
      return `block${granularity.rows}x${granularity.cols}`;
    default:
      return granularity.kind;
  }
}
