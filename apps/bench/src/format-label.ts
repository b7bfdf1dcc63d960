import { type FormatSpec, formatName } from '@fewbit/formats';

/** `int4`: the first word of a format's name. */
export function formatFamily(spec: FormatSpec): string {
  return formatName(spec).split(' ')[0]!;
}

/** Inputs that share a scale; null where another granularity does. */
export function groupOf(spec: FormatSpec): number | null {
  return 'granularity' in spec && spec.granularity.kind === 'group' ? spec.granularity.size : null;
}

/** `int4 g32`, or `f32` for none. */
export function formatLabel(spec: FormatSpec | undefined): string {
  if (!spec) return 'f32';
  const group = groupOf(spec);
  return group === null ? formatFamily(spec) : `${formatFamily(spec)} g${group}`;
}
