import { Buffer } from 'node:buffer';

export interface OnnxTensor {
  readonly name: string;
  readonly dims: readonly number[];
  readonly data: Uint8Array | Float32Array | BigInt64Array;
}

export interface OnnxNode {
  readonly op: string;
  /** Names; '' leaves an optional input out. */
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  /** Whole numbers of 0 or more become INT attributes, text `'1e-5'` a FLOAT one. */
  readonly attributes?: Readonly<Record<string, number | `${number}`>>;
}

/** A tensor that is fed or fetched; a name in place of a size is free. */
export interface OnnxValue {
  readonly name: string;
  readonly type: keyof typeof types;
  readonly dims: readonly (number | string)[];
}

export interface OnnxGraph {
  readonly nodes: readonly OnnxNode[];
  readonly initializers: readonly OnnxTensor[];
  readonly inputs: readonly OnnxValue[];
  readonly outputs: readonly OnnxValue[];
}

/** TensorProto.DataType */
const types = { float32: 1, uint8: 2, int32: 6, int64: 7 } as const;
/** Ops that are not ONNX's own. */
const microsoft = new Set(['MatMulNBits', 'GroupQueryAttention']);

/** The bytes of an ONNX model (onnx.proto3; only the fields that are used), opset 17 with onnxruntime's own ops. */
export function onnxModel({ nodes, initializers, inputs, outputs }: OnnxGraph): Uint8Array {
  const graph = message(
    ...nodes.map((node): Field => [1, nodeProto(node)]),
    [2, 'graph'],
    ...initializers.map((tensor): Field => [5, tensorProto(tensor)]),
    ...inputs.map((value): Field => [11, valueInfo(value)]),
    ...outputs.map((value): Field => [12, valueInfo(value)]),
  );
  return message([1, 8], [8, message([1, ''], [2, 17])], [8, message([1, 'com.microsoft'], [2, 1])], [7, graph]);
}

function nodeProto({ op, inputs, outputs, attributes = {} }: OnnxNode): Uint8Array {
  return message(
    ...inputs.map((name): Field => [1, name]),
    ...outputs.map((name): Field => [2, name]),
    [4, op],
    ...Object.entries(attributes).map(([name, value]): Field => {
      const typed: Field[] =
        typeof value === 'number'
          ? [
              [3, value],
              [20, 2],
            ]
          : [
              [2, Float32Array.of(Number(value))],
              [20, 1],
            ]; // prettier-ignore
      return [5, message([1, name], ...typed)];
    }),
    [7, microsoft.has(op) ? 'com.microsoft' : ''],
  );
}

function tensorProto({ name, dims, data }: OnnxTensor): Uint8Array {
  const type = data instanceof Float32Array ? types.float32 : data instanceof Uint8Array ? types.uint8 : types.int64;
  const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  return message(...dims.map((dim): Field => [1, dim]), [2, type], [8, name], [9, bytes]);
}

function valueInfo({ name, type, dims }: OnnxValue): Uint8Array {
  const shape = message(...dims.map((dim): Field => [1, message(typeof dim === 'number' ? [1, dim] : [2, dim])]));
  return message([1, name], [2, message([1, message([1, types[type]], [2, shape])])]);
}

/** A field's number and value: numbers of 0 or more are varints, one float32 has four bytes, all else its length before it. */
type Field = readonly [number: number, value: number | string | Uint8Array | Float32Array];

function message(...fields: readonly Field[]): Uint8Array {
  return Buffer.concat(
    fields.flatMap(([number, value]) => {
      if (typeof value === 'number') return [varint(number << 3), varint(value)];
      if (value instanceof Float32Array) return [varint((number << 3) | 5), new Uint8Array(value.buffer)];
      const bytes = typeof value === 'string' ? Buffer.from(value) : value;
      return [varint((number << 3) | 2), varint(bytes.length), bytes];
    }),
  );
}

function varint(value: number): Uint8Array {
  const bytes: number[] = [];
  let left = value;
  for (; left >= 128; left = Math.floor(left / 128)) bytes.push((left % 128) | 128);
  return Uint8Array.from([...bytes, left]);
}
