// What the ops of transformers become in ONNX (https://onnx.ai/onnx/operators/). Tokens lie as in
// Kindred, [N, T, D].

import { dim } from '../../kernels/op.ts'
import type { Call, Convert, Graph, GraphValue } from './graph.ts'
import type { Attribute } from './proto.ts'

/** The i-th input's name, with its axes as Kindred has them; of a constant too. */
function plain(graph: Graph, { name, inputs }: Call, i: number): string {
  const found = inputs[i]
  if (!found) throw new Error(`exportOnnx: ${name} has no input ${i}`)
  return graph.valueOf(found) ? graph.computed(found, false) : graph.weight(found)
}

const valueOf = (name: string, { output }: Call): GraphValue => ({
  ...{ name, shape: output.shape, isImage: false },
})

/** An op of one ONNX operator on values as Kindred has them. */
const direct =
  (op: string, attributes: (attrs: never) => Record<string, Attribute> = () => ({})): Convert =>
  (graph, call) => {
    const names = call.inputs.map((_, i) => plain(graph, call, i))
    return valueOf(graph.node(op, names, attributes(call.attrs as never)), call) // as the op's
  }

/** Part of an axis. */
function sliced(graph: Graph, x: string, axis: number, [start, end]: readonly [number, number]) {
  const [from, to, along] = [start, end, axis].map((n) => graph.integers([n]))
  return graph.node('Slice', [x, from ?? '', to ?? '', along ?? ''])
}

const slice: Convert = (graph, call) => {
  const { axis, start, end } = call.attrs as { axis: number; start: number; end: number }
  return valueOf(sliced(graph, plain(graph, call, 0), axis, [start, end]), call)
}

/** Equal parts of an axis, each a value. */
const chunk: Convert = (graph, call) => {
  const { parts, axis } = call.attrs as { parts: number; axis: number }
  const x = plain(graph, call, 0)
  const { shape } = call.output
  const size = dim(shape, axis < 0 ? axis + shape.length : axis)
  return Array.from({ length: parts }, (_, part) =>
    valueOf(sliced(graph, x, axis, [part * size, (part + 1) * size]), call),
  )
}

const expand: Convert = (graph, call) => {
  const [N, ...rest] = call.output.shape
  const target =
    N === graph.batch
      ? graph.node('Concat', [graph.batchSize(), graph.integers(rest)], { axis: 0 })
      : graph.integers(call.output.shape)
  return valueOf(graph.node('Expand', [plain(graph, call, 0), target]), call)
}

const mean: Convert = (graph, call) => {
  const { axes, keepDims } = call.attrs as { axes: readonly number[]; keepDims: boolean }
  const inputs = [plain(graph, call, 0), graph.integers(axes)]
  return valueOf(graph.node('ReduceMean', inputs, { keepdims: Number(keepDims) }), call)
}

/** softmax(scale q kᵀ) v of each head; q, k and v are [N, T, heads, D]. */
const attention: Convert = (graph, call) => {
  const { scale, causal } = call.attrs as { scale: number; causal: boolean }
  if (causal || call.inputs.length > 3)
    throw new Error('exportOnnx: attention that is causal, or of some keys alone, has no form here')
  const heads = (i: number, perm: readonly number[]) =>
    graph.node('Transpose', [plain(graph, call, i)], { perm })
  const [q, k, v] = [heads(0, [0, 2, 1, 3]), heads(1, [0, 2, 3, 1]), heads(2, [0, 2, 1, 3])]
  const scores = graph.node('Mul', [graph.node('MatMul', [q, k]), graph.number(scale)])
  const weights = graph.node('Softmax', [scores], { axis: -1 })
  const sums = graph.node('MatMul', [weights, v])
  return valueOf(graph.node('Transpose', [sums], { perm: [0, 2, 1, 3] }), call)
}

const layerNorm: Convert = (graph, call) => {
  const { eps } = call.attrs as { eps: number }
  const inputs = [0, 1, 2].map((i) => plain(graph, call, i))
  const attributes = { axis: -1, epsilon: { float: eps } }
  return valueOf(graph.node('LayerNormalization', inputs, attributes), call)
}

/** ONNX's form of each op of transformers, by its name. */
export const tokenOperators: Readonly<Record<string, Convert>> = {
  ...{ slice, chunk, expand, mean, attention, layerNorm },
  concat: direct('Concat', ({ axis }: { axis: number }) => ({ axis })),
  gelu: direct('Gelu', () => ({ approximate: 'none' })),
  geluTanh: direct('Gelu', () => ({ approximate: 'tanh' })),
}
