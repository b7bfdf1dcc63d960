const longest = 120;

/** A value from a file for a message: as JSON, cut when long. */
export function quote(value: unknown): string {
  // only the start is looked at: a damaged value may be as large as its file
  const json = typeof value === 'string' ? JSON.stringify(value.slice(0, longest + 1)) : (JSON.stringify(value) ?? String(value));
  return json.length > longest ? `${json.slice(0, longest)}…` : json;
}

/** `a, b, c and 4 more`. */
export function list(names: readonly string[], most = 3): string {
  const shown = names.slice(0, most).map(quote).join(', ');
  return names.length > most ? `${shown} and ${names.length - most} more` : shown;
}
