/** A safetensors file from its parts, right or wrong: a header (text as it is, or a value for JSON), then the data. */
export function safetensorsBytes(header: unknown, data: Uint8Array = new Uint8Array(), headerLength?: bigint): Uint8Array<ArrayBuffer> {
  const json =
    header instanceof Uint8Array ? header : new TextEncoder().encode(typeof header === 'string' ? header : JSON.stringify(header));
  const bytes = new Uint8Array(8 + json.length + data.length);
  new DataView(bytes.buffer).setBigUint64(0, headerLength ?? BigInt(json.length), true);
  bytes.set(json, 8);
  bytes.set(data, 8 + json.length);
  return bytes;
}

/** A valid file of float32 tensors. */
export function floatSafetensors(
  tensors: Readonly<Record<string, { shape: readonly number[]; data: Float32Array }>>,
): Uint8Array<ArrayBuffer> {
  let end = 0;
  const header: Record<string, unknown> = {};
  for (const [name, { shape, data }] of Object.entries(tensors)) {
    header[name] = { dtype: 'F32', shape, data_offsets: [end, end + data.byteLength] };
    end += data.byteLength;
  }
  const all = new Uint8Array(end);
  let at = 0;
  for (const { data } of Object.values(tensors)) {
    all.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), at);
    at += data.byteLength;
  }
  return safetensorsBytes(header, all);
}
