import type { Granularity } from './types.js';

/** `g128`, `channel`, `block128x128`, `flat64`. */
export function granularityName(granularity: Granularity): string {
  switch (granularity.kind) {
    case 'group':
      return `g${granularity.size}`;
    case 'block':
      return `block${granularity.rows}x${granularity.cols}`;
    case 'flat':
      return `flat${granularity.size}`;
    default:
      return granularity.kind;
  }
}
