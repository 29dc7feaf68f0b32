// As much of the protocol buffers wire format as an ONNX model needs: https://protobuf.dev/programming-guides/encoding
const VARINT = 0;
const LENGTH_DELIMITED = 2;
const FIXED_32 = 5;

/** An encoded field, or several joined. */
export type Encoded = readonly number[];

/** @param value a whole number from 0 to 2^53 */
export function varintField(field: number, value: number): Encoded {
  return [...tag(field, VARINT), ...varint(value)];
}

export function floatField(field: number, value: number): Encoded {
  return [...tag(field, FIXED_32), ...new Uint8Array(new Float32Array([value]).buffer)];
}

export function stringField(field: number, value: string): Encoded {
  return bytesField(field, [...new TextEncoder().encode(value)]);
}

/** Bytes, or an embedded message. */
export function bytesField(field: number, bytes: Encoded): Encoded {
  return [...tag(field, LENGTH_DELIMITED), ...varint(bytes.length), ...bytes];
}

function tag(field: number, wireType: number): Encoded {
  return varint(field * 8 + wireType);
}

function varint(value: number): Encoded {
  if (!Number.isSafeInteger(value) || value < 0) throw new Error(`no varint for ${value}`);
  const bytes: number[] = [];
  let rest = value;
  while (rest >= 128) {
    bytes.push((rest % 128) + 128);
    rest = Math.floor(rest / 128);
  }
  return [...bytes, rest];
}
