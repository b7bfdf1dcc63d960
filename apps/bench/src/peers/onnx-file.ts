import { Buffer } from 'node:buffer';

/** What an ONNX graph of weights beside each other is made of: every product takes the input `x` [m, k] and gives `y0`, `y1`, … [m, n]. */
export interface OnnxProducts {
  readonly m: number;
  readonly k: number;
  readonly n: number;
  readonly opType: 'MatMul' | 'MatMulNBits';
  readonly attributes: Readonly<Record<string, number>>;
  /** Per product, its initializers in the order of the op's inputs after x. */
  readonly weights: readonly (readonly OnnxTensor[])[];
}

export interface OnnxTensor {
  readonly dims: readonly number[];
  readonly data: Uint8Array | Float32Array;
}

/** The bytes of an ONNX model (onnx.proto3; only the fields that are used). */
export function onnxModel({ m, k, n, opType, attributes, weights }: OnnxProducts): Uint8Array {
  const domain = opType === 'MatMulNBits' ? 'com.microsoft' : '';
  const nodes = weights.map((tensors, index) =>
    message(
      [1, 'x'],
      ...tensors.map((_, input): Field => [1, initializerName(index, input)]),
      [2, `y${index}`],
      [4, opType],
      ...Object.entries(attributes).map(([name, value]): Field => [5, message([1, name], [3, value], [20, 2])]),
      [7, domain],
    ),
  );
  const initializers = weights.flatMap((tensors, index) =>
    tensors.map((tensor, input) => tensorProto(initializerName(index, input), tensor)),
  );
  const graph = message(
    ...nodes.map((node): Field => [1, node]),
    [2, 'products'],
    ...initializers.map((initializer): Field => [5, initializer]),
    [11, valueInfo('x', [m, k])],
    ...weights.map((_, index): Field => [12, valueInfo(`y${index}`, [m, n])]),
  );
  return message([1, 8], [8, message([1, ''], [2, 17])], [8, message([1, 'com.microsoft'], [2, 1])], [7, graph]);
}

const initializerName = (index: number, input: number) => `w${index}_${input}`;

function tensorProto(name: string, { dims, data }: OnnxTensor): Uint8Array {
  const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  return message(...dims.map((dim): Field => [1, dim]), [2, data instanceof Float32Array ? 1 : 2], [8, name], [9, bytes]);
}

/** A float32 tensor of known shape. */
function valueInfo(name: string, dims: readonly number[]): Uint8Array {
  const shape = message(...dims.map((dim): Field => [1, message([1, dim])]));
  return message([1, name], [2, message([1, message([1, 1], [2, shape])])]);
}

/** A field's number and value: whole numbers are varints, all else has its length before it. */
type Field = readonly [number: number, value: number | string | Uint8Array];

function message(...fields: readonly Field[]): Uint8Array {
  return Buffer.concat(
    fields.flatMap(([number, value]) => {
      if (typeof value === 'number') return [varint(number << 3), varint(value)];
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
