import { bytesField, type Encoded, floatField, stringField, varintField } from "./protobuf.js";

/** An ONNX model of one operator, f32 in and out: https://github.com/onnx/onnx/blob/main/onnx/onnx.proto */
export interface OperatorModel {
  readonly operator: string;
  /** `"com.microsoft"` for onnxruntime's own operators. */
  readonly domain: string;
  /** Inputs of the operator in order; an empty name leaves an optional one out. */
  readonly operatorInputs: readonly string[];
  /** Whole numbers become ints, unless `floats` names them. */
  readonly attributes: Readonly<Record<string, number | string>>;
  readonly floats?: readonly string[];
  /** f32 inputs of the model, by name. */
  readonly inputs: Readonly<Record<string, readonly number[]>>;
  /** f32 outputs of the model and the operator, in the operator's order. */
  readonly outputs: Readonly<Record<string, readonly number[]>>;
  /** Constants of type int32 and shape [values.length], by name. */
  readonly constants: Readonly<Record<string, readonly number[]>>;
}

const FLOAT = 1;
const INT32 = 6;
const ATTRIBUTE_FLOAT = 1;
const ATTRIBUTE_INT = 2;
const ATTRIBUTE_STRING = 3;
const IR_VERSION = 8;
const OPSET = 17;

export function encodeModel(model: OperatorModel): Uint8Array<ArrayBuffer> {
  const opset = (domain: string, version: number) =>
    bytesField(8, [...stringField(1, domain), ...varintField(2, version)]);
  return Uint8Array.from([
    ...varintField(1, IR_VERSION),
    ...bytesField(7, graph(model)),
    ...opset("", OPSET),
    ...opset(model.domain, 1),
  ]);
}

function graph(model: OperatorModel): Encoded {
  const constants = Object.entries(model.constants);
  return [
    ...bytesField(1, node(model)),
    ...stringField(2, model.operator),
    ...constants.flatMap(([name, values]) => bytesField(5, int32Tensor(name, values))),
    ...Object.entries(model.inputs).flatMap(([name, shape]) => bytesField(11, valueInfo(name, shape))),
    ...Object.entries(model.outputs).flatMap(([name, shape]) => bytesField(12, valueInfo(name, shape))),
  ];
}

function node({
  operator,
  domain,
  operatorInputs,
  outputs,
  attributes,
  floats = [],
}: OperatorModel): Encoded {
  return [
    ...operatorInputs.flatMap((name) => stringField(1, name)),
    ...Object.keys(outputs).flatMap((name) => stringField(2, name)),
    ...stringField(3, operator),
    ...stringField(4, operator),
    ...Object.entries(attributes).flatMap(([name, value]) =>
      bytesField(5, attribute(name, value, floats.includes(name))),
    ),
    ...stringField(7, domain),
  ];
}

function attribute(name: string, value: number | string, isFloat: boolean): Encoded {
  if (typeof value === "string")
    return [...stringField(1, name), ...stringField(4, value), ...varintField(20, ATTRIBUTE_STRING)];
  return isFloat
    ? [...stringField(1, name), ...floatField(2, value), ...varintField(20, ATTRIBUTE_FLOAT)]
    : [...stringField(1, name), ...varintField(3, value), ...varintField(20, ATTRIBUTE_INT)];
}

function int32Tensor(name: string, values: readonly number[]): Encoded {
  return [
    ...varintField(1, values.length),
    ...varintField(2, INT32),
    ...stringField(8, name),
    ...bytesField(9, [...new Uint8Array(Int32Array.from(values).buffer)]),
  ];
}

function valueInfo(name: string, shape: readonly number[]): Encoded {
  const dims = shape.flatMap((size) => bytesField(1, varintField(1, size)));
  const tensorType = [...varintField(1, FLOAT), ...bytesField(2, dims)];
  return [...stringField(1, name), ...bytesField(2, bytesField(1, tensorType))];
}
