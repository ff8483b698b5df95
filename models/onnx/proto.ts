// An ONNX model as bytes. The numbers of fields are those of onnx.proto
// (https://github.com/onnx/onnx/blob/main/onnx/onnx.proto).

import Pbf from 'pbf'

/** Element types of ONNX. */
export const dataTypes = { f32: 1, i64: 7, f16: 10 } as const

/** An attribute of a node: a whole number, whole numbers, a float or a word. */
export type Attribute = number | readonly number[] | { readonly float: number } | string

/** A node of the graph. */
export interface Node {
  readonly op: string
  readonly inputs: readonly string[]
  readonly output: string
  readonly attributes: Readonly<Record<string, Attribute>>
}

/** A constant of the graph. */
export interface Constant {
  readonly name: string
  readonly shape: readonly number[]
  readonly type: number
  /** Little-endian. */
  readonly bytes: Uint8Array
}

/** An input or output of the graph, f32. Words are sizes that may vary. */
export interface Port {
  readonly name: string
  readonly shape: readonly (number | string)[]
}

/** A whole model. */
export interface OnnxModel {
  readonly nodes: readonly Node[]
  readonly constants: readonly Constant[]
  readonly input: Port
  readonly output: Port
  readonly metadata: Readonly<Record<string, string>>
}

const IR_VERSION = 9
const OPSET = 20

/** Encodes a model. */
export function encodeOnnx(model: OnnxModel): Uint8Array {
  const pbf = new Pbf()
  pbf.writeVarintField(1, IR_VERSION)
  pbf.writeStringField(2, 'kindred')
  pbf.writeMessage(7, graph, model)
  pbf.writeMessage(8, (_, out) => out.writeVarintField(2, OPSET), null)
  for (const [key, value] of Object.entries(model.metadata))
    pbf.writeMessage(14, entry, { key, value })
  return pbf.finish()
}

function graph(model: OnnxModel, pbf: Pbf) {
  for (const one of model.nodes) pbf.writeMessage(1, node, one)
  pbf.writeStringField(2, 'kindred')
  for (const one of model.constants) pbf.writeMessage(5, tensor, one)
  pbf.writeMessage(11, port, model.input)
  pbf.writeMessage(12, port, model.output)
}

function node({ op, inputs, output, attributes }: Node, pbf: Pbf) {
  for (const input of inputs) pbf.writeStringField(1, input)
  pbf.writeStringField(2, output)
  pbf.writeStringField(3, output)
  pbf.writeStringField(4, op)
  for (const [name, value] of Object.entries(attributes))
    pbf.writeMessage(5, attribute, { name, value })
}

const [FLOAT, INT, STRING, INTS] = [1, 2, 3, 7] // kinds of attributes

function attribute({ name, value }: { name: string; value: Attribute }, pbf: Pbf) {
  pbf.writeStringField(1, name)
  const kind = (number: number) => pbf.writeVarintField(20, number)
  if (typeof value === 'number') {
    pbf.writeVarintField(3, value)
    kind(INT)
  } else if (typeof value === 'string') {
    pbf.writeStringField(4, value)
    kind(STRING)
  } else if ('float' in value) {
    pbf.writeFloatField(2, value.float)
    kind(FLOAT)
  } else {
    for (const one of value) pbf.writeVarintField(8, one)
    kind(INTS)
  }
}

function tensor({ name, shape, type, bytes }: Constant, pbf: Pbf) {
  for (const size of shape) pbf.writeVarintField(1, size)
  pbf.writeVarintField(2, type)
  pbf.writeStringField(8, name)
  pbf.writeBytesField(9, bytes)
}

function port({ name, shape }: Port, pbf: Pbf) {
  const size = (one: number | string, out: Pbf) =>
    typeof one === 'number' ? out.writeVarintField(1, one) : out.writeStringField(2, one)
  const sizes = (_: null, out: Pbf) => {
    for (const one of shape) out.writeMessage(1, size, one)
  }
  const type = (_: null, out: Pbf) => {
    out.writeVarintField(1, dataTypes.f32)
    out.writeMessage(2, sizes, null)
  }
  pbf.writeStringField(1, name)
  pbf.writeMessage(2, (_, out: Pbf) => out.writeMessage(1, type, null), null)
}

function entry({ key, value }: { key: string; value: string }, pbf: Pbf) {
  pbf.writeStringField(1, key)
  pbf.writeStringField(2, value)
}
