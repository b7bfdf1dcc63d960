const longest = 120;
const mostEntries = 12;

/** A value from a file for a message: as JSON, cut where it is long or deep. */
export function quote(value: unknown): string {
  return cut(brief(value, 2));
}

/** `a, b, c and 4 more`. */
export function list(names: readonly string[], most = 3): string {
  const shown = names.slice(0, most).map(quote).join(', ');
  return names.length > most ? `${shown} and ${names.length - most} more` : shown;
}

/** Looks only at the start: a damaged value may be as large and as deep as its file. */
function brief(value: unknown, depth: number): string {
  if (typeof value === 'string') return JSON.stringify(value.slice(0, longest + 1));
  if (typeof value !== 'object' || value === null) return String(value);
  if (depth === 0) return Array.isArray(value) ? '[…]' : '{…}';
  if (Array.isArray(value)) return `[${some(value, (entry) => brief(entry, depth - 1))}]`;
  return `{${some(Object.entries(value), ([key, entry]) => `${quote(key)}:${brief(entry, depth - 1)}`)}}`;
}

function some<T>(entries: readonly T[], show: (entry: T) => string): string {
  const shown = entries.slice(0, mostEntries).map(show);
  return [...shown, ...(entries.length > mostEntries ? ['…'] : [])].join(',');
}

function cut(json: string): string {
  return json.length > longest ? `${json.slice(0, longest)}…` : json;
}
