// What the ops of transformers become in ONNX (https://onnx.ai/onnx/operators/). Tokens lie as in
// Kindred, [N, T, D].

import { dim } from '../../kernels/op.ts'
import { input, known } from './call.ts'
import type { Call, CallAxes, Convert, Graph, GraphValue } from './graph.ts'

/** The i-th input's name, with its axes as Kindred has them; of a constant too. */
function plain(graph: Graph, call: Call, i: number): string {
  const found = input(call, i)
  return graph.valueOf(found) ? graph.computed(found, false) : graph.weight(found)
}

const valueOf = (name: string, { output }: Call): GraphValue => ({
  ...{ name, shape: output.shape, isImage: false },
})

/** A Gelu, exact or approximated. */
const gelu = (approximate: 'none' | 'tanh'): Convert =>
  known({ inputs: [1], attrs: [] }, (graph, call) =>
    valueOf(graph.node('Gelu', [plain(graph, call, 0)], { approximate }), call),
  )

const concat: Convert = (graph, call) => {
  const { axis: from } = call.attrs as { axis: number }
  const growing = call.inputs.filter((x) => graph.grows(x))
  const [axis = from] = (growing.length > 0 ? growing : call.inputs.slice(0, 1)).map((x) =>
    graph.axis(call, x, from),
  )
  if (growing.length > 0 && growing.length < call.inputs.length) throw graph.onBatch(call)
  const names = call.inputs.map((_, i) => plain(graph, call, i))
  return valueOf(graph.node('Concat', names, { axis }), call)
}

/** Part of an axis. */
function sliced(graph: Graph, x: string, axis: number, [start, end]: readonly [number, number]) {
  const [from, to, along] = [start, end, axis].map((n) => graph.integers([n]))
  return graph.node('Slice', [x, from ?? '', to ?? '', along ?? ''])
}

const slice: Convert = (graph, call) => {
  const { axis: from, start, end } = call.attrs as { axis: number; start: number; end: number }
  const axis = graph.axis(call, input(call, 0), from)
  return valueOf(sliced(graph, plain(graph, call, 0), axis, [start, end]), call)
}

/** Equal parts of an axis, each a value. */
const chunk: Convert = (graph, call) => {
  const { parts, axis: from } = call.attrs as { parts: number; axis: number }
  const axis = graph.axis(call, input(call, 0), from)
  const x = plain(graph, call, 0)
  const size = dim(call.output.shape, axis)
  return Array.from({ length: parts }, (_, part) =>
    valueOf(sliced(graph, x, axis, [part * size, (part + 1) * size]), call),
  )
}

/** Repeats a value, or a constant for each sample of the batch. */
const expand: Convert = (graph, call) => {
  const { shape } = call.output
  const [N, ...rest] = shape
  const x = input(call, 0)
  if (graph.grows(x) && x.shape.length < shape.length) throw graph.onBatch(call)
  const grows = graph.grows(x) || N === graph.batch
  const target = graph.grows(x)
    ? graph.integers([1, ...rest]) // 1 leaves the batch as it is
    : grows
      ? graph.node('Concat', [graph.batchSize(), graph.integers(rest)], { axis: 0 })
      : graph.integers(shape)
  return { ...valueOf(graph.node('Expand', [plain(graph, call, 0), target]), call), grows }
}

/** A sum or mean over some axes. */
const reduced =
  (op: string): Convert =>
  (graph, call) => {
    const { axes: given, keepDims } = call.attrs as { axes: CallAxes; keepDims: boolean }
    const axes = graph.axes(call, input(call, 0), given)
    const x = plain(graph, call, 0)
    if (axes.length === 0) return valueOf(x, call) // ONNX takes none for all
    const inputs = [x, graph.integers(axes)]
    return valueOf(graph.node(op, inputs, { keepdims: Number(keepDims) }), call)
  }

const transpose: Convert = (graph, call) => {
  const { order } = call.attrs as { order?: readonly number[] }
  const x = input(call, 0)
  const axes = [...x.shape.keys()]
  const perm = order ?? [...axes.slice(0, -2), ...axes.slice(-2).reverse()]
  if (graph.grows(x) && perm[0] !== 0) throw graph.onBatch(call)
  return valueOf(graph.node('Transpose', [plain(graph, call, 0)], { perm }), call)
}

/** softmax(scale q kᵀ) v of each head; q, k and v are [N, T, heads, D]. */
const attention: Convert = (graph, call) => {
  const { scale, causal } = call.attrs as { scale: number; causal: boolean }
  if (causal) throw graph.noForm(call, 'it is causal')
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
  slice: known({ inputs: [1], attrs: ['axis', 'start', 'end'] }, slice),
  chunk: known({ inputs: [1], attrs: ['parts', 'axis'] }, chunk),
  concat: known({ inputs: [1, 2, 3, 4], attrs: ['axis'] }, concat),
  expand: known({ inputs: [1], attrs: ['shape'] }, expand),
  transpose: known({ inputs: [1], attrs: ['order'] }, transpose),
  mean: known({ inputs: [1], attrs: ['axes', 'keepDims'] }, reduced('ReduceMean')),
  sum: known({ inputs: [1], attrs: ['axes', 'keepDims'] }, reduced('ReduceSum')),
  attention: known({ inputs: [3], attrs: ['scale', 'causal'] }, attention),
  layerNorm: known({ inputs: [3], attrs: ['eps'] }, layerNorm),
  ...{ gelu: gelu('none'), geluTanh: gelu('tanh') },
}
