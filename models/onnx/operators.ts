// What each op becomes in ONNX (https://onnx.ai/onnx/operators/).

import { type Tensor, dim } from '../../kernels/op.ts'
import { elementwiseOperators } from './elementwise.ts'
import { input, isImage, known } from './call.ts'
import type { Call, Convert, Graph, GraphValue } from './graph.ts'
import type { Attribute } from './proto.ts'
import { tokenOperators } from './token-operators.ts'

/** The output of a node whose images are [N, C, H, W]. */
const alike = (output: Tensor) => ({ shape: output.shape, isImage: isImage(output) })

interface Steps {
  readonly stride: readonly [number, number]
  readonly padding: readonly [number, number]
  readonly groups?: number
}

/** A convolution of images that have this name. */
function convolved(graph: Graph, x: string, w: Tensor, steps: Steps, bias?: Tensor): string {
  const [kH = 1, kW = 1, C = 1, K = 1] = w.shape
  const weight = graph.weight(w, { shape: [K, C, kH, kW], order: [3, 2, 0, 1] })
  return graph.node('Conv', [x, weight, ...(bias ? [graph.weight(bias)] : [])], {
    kernel_shape: [kH, kW],
    strides: steps.stride,
    pads: [...steps.padding, ...steps.padding],
    group: steps.groups ?? 1,
  })
}

function convolution(graph: Graph, call: Call, steps: Steps, bias?: Tensor): GraphValue {
  const x = graph.computed(input(call, 0), true)
  return { name: convolved(graph, x, input(call, 1), steps, bias), ...alike(call.output) }
}

interface Norm {
  readonly eps: number
  readonly rectified: boolean
  readonly running: { readonly mean: Tensor; readonly variance: Tensor } | null
}

/** A batch norm of `x` by its running statistics, and what follows it. */
function normalised(
  graph: Graph,
  { name, output }: Call,
  x: string,
  { eps, rectified, running }: Norm,
  [gamma, beta, residual]: readonly (Tensor | undefined)[],
): GraphValue {
  if (!running || !gamma || !beta)
    throw new Error(`exportOnnx: ${name} must be in evaluation mode, with running statistics`)
  const constants = [gamma, beta, running.mean, running.variance].map((t) => graph.weight(t))
  let y = graph.node('BatchNormalization', [x, ...constants], { epsilon: { float: eps } })
  if (residual) y = graph.node('Add', [y, graph.computed(residual, isImage(output))])
  if (rectified) y = graph.node('Relu', [y])
  return { name: y, ...alike(output) }
}

/** A convolution and its batch norm. */
interface ConvNorm {
  readonly steps: Steps
  readonly norm: Norm
}

/** A convolution and its batch norm; or two, whose sum is taken: attrs have `main` and `more` then,
 *  and inputs are x, w, gamma and beta of both. */
const convNorm: Convert = (graph, call) => {
  const attrs = call.attrs as ConvNorm | { readonly main: ConvNorm; readonly more: ConvNorm }
  if (!('main' in attrs)) {
    const x = convolution(graph, call, attrs.steps)
    return normalised(graph, call, x.name, attrs.norm, call.inputs.slice(2))
  }
  const one = ({ steps, norm }: ConvNorm, inputs: readonly Tensor[]) => {
    const own = { ...call, inputs }
    const plain = { ...norm, rectified: false }
    const x = convolution(graph, own, steps)
    return normalised(graph, own, x.name, plain, inputs.slice(2)).name
  }
  const [main, more] = [call.inputs.slice(0, 4), call.inputs.slice(4)]
  const sum = graph.node('Add', [one(attrs.main, main), one(attrs.more, more)])
  const name = attrs.main.norm.rectified ? graph.node('Relu', [sum]) : sum
  return { name, ...alike(call.output) }
}

interface Window {
  readonly size: number
  readonly stride: number
  readonly padding: number
}

const windowOf = ({ size, stride, padding }: Window) => ({
  kernel_shape: [size, size],
  strides: [stride, stride],
  pads: [padding, padding, padding, padding],
})

const pool =
  (op: string, more: Record<string, Attribute> = {}): Convert =>
  (graph, call) =>
    graph.value(op, [graph.computed(input(call, 0), true)], alike(call.output), {
      ...windowOf(call.attrs as Window),
      ...more,
    })

/** Pools x, adds channels of zeros, and adds the branch. */
const addPooled: Convert = (graph, call) => {
  const [branch, x] = [input(call, 0), input(call, 1)]
  const pooled = pooledAlike(graph, x, call.output, call.attrs as Window)
  return graph.value('Add', [graph.computed(branch, true), pooled], alike(call.output))
}

/** x, pooled, with channels of zeros up to y's. */
function pooledAlike(graph: Graph, x: Tensor, y: Tensor, window: Window): string {
  let pooled = graph.computed(x, true)
  if (window.size > 1 || window.stride > 1)
    pooled = graph.node('AveragePool', [pooled], { ...windowOf(window), count_include_pad: 1 })
  const more = dim(y.shape, 3) - dim(x.shape, 3)
  return more > 0
    ? graph.node('Pad', [pooled, graph.integers([0, 0, 0, 0, 0, more, 0, 0])])
    : pooled
}

/** Two convolutions with ReLU between them, and the shortcut. */
const residualUnit: Convert = (graph, call) => {
  const [x, w1, w2] = [input(call, 0), input(call, 1), input(call, 2)]
  const [w3, b3] = call.inputs.slice(3)
  const { stride } = call.attrs as { readonly stride: number }
  const steps: Steps = { stride: [stride, stride], padding: [0, 0] }
  const once: Steps = { stride: [1, 1], padding: [0, 0] }
  const image = graph.computed(x, true)
  const h = graph.node('Relu', [convolved(graph, image, w1, steps)])
  const window = { size: dim(w1.shape, 0), stride, padding: 0 }
  const shortcut = w3
    ? convolved(graph, image, w3, once, b3)
    : pooledAlike(graph, x, call.output, window)
  return graph.value('Add', [convolved(graph, h, w2, once), shortcut], alike(call.output))
}

const reshape: Convert = (graph, call) => {
  const x = input(call, 0)
  return graph.reshaped(call, x, graph.valueOf(x) ? graph.computed(x, false) : graph.weight(x))
}

const linear: Convert = (graph, call) => {
  const [x, w, bias] = [input(call, 0), input(call, 1), call.inputs[2]]
  const weight = graph.weight(w, { shape: [dim(w.shape, 1), dim(w.shape, 0)], order: [1, 0] })
  const product = graph.node('MatMul', [graph.computed(x, false), weight])
  const name = bias ? graph.node('Add', [product, graph.weight(bias)]) : product
  return { name, shape: call.output.shape, isImage: false }
}

const meanOverPixels: Convert = (graph, call) => {
  const pooled = graph.node('GlobalAveragePool', [graph.computed(input(call, 0), true)])
  return graph.value('Flatten', [pooled], { shape: call.output.shape }, { axis: 1 })
}

const padReflect: Convert = (graph, call) => {
  const [x, y] = [input(call, 0), call.output]
  const [h, w] = [1, 2].map((axis) => (dim(y.shape, axis) - dim(x.shape, axis)) / 2)
  const pads = graph.integers([0, 0, h ?? 0, w ?? 0, 0, 0, h ?? 0, w ?? 0])
  return graph.value('Pad', [graph.computed(x, true), pads], alike(y), { mode: 'reflect' })
}

const UNIT_EPS = 1e-12 // of l2Normalize, by default

/** x / max(|x|, eps). */
const l2Normalize: Convert = (graph, call) => {
  const { eps, axis: from } = call.attrs as { readonly eps: number; readonly axis: number }
  const x = input(call, 0)
  const axis = graph.axis(call, x, from)
  const [name, { shape }] = [graph.computed(x, false), call.output]
  if (eps === UNIT_EPS) return graph.value('LpNormalization', [name], { shape }, { axis, p: 2 })
  const norm = graph.node('ReduceL2', [name, graph.integers([axis])], { keepdims: 1 })
  const least = graph.node('Max', [norm, graph.number(eps)])
  return graph.value('Div', [name, least], { shape })
}

const batchNorm: Convert = (graph, call) => {
  const x = input(call, 0)
  const { shape } = call.output
  const isFlat = isImage(x) || shape.length === 2
  const name = graph.computed(x, isImage(x))
  const norm = call.attrs as Norm
  if (isFlat) return normalised(graph, call, name, norm, call.inputs.slice(1))
  throw graph.noForm(call, 'its channels are neither those of images nor of rows')
}

const windowed = ['size', 'stride', 'padding']

/** ONNX's form of each op, by its name. */
export const operators: Readonly<Record<string, Convert>> = {
  ...elementwiseOperators,
  ...tokenOperators,
  conv2d: known({ inputs: [2, 3], attrs: ['stride', 'padding', 'groups'] }, (graph, call) =>
    convolution(graph, call, call.attrs as Steps, call.inputs[2]),
  ),
  ...{ convNorm, batchNorm },
  maxPool: known({ inputs: [1], attrs: windowed }, pool('MaxPool')),
  avgPool: known({ inputs: [1], attrs: windowed }, pool('AveragePool', { count_include_pad: 1 })),
  addPooled: known({ inputs: [2], attrs: windowed }, addPooled),
  globalAvgPool: known({ inputs: [1], attrs: [] }, meanOverPixels),
  residualUnit: known({ inputs: [3, 5], attrs: ['stride'] }, residualUnit),
  ...{ padReflect, reshape },
  linear: known({ inputs: [2, 3], attrs: [] }, linear),
  l2Normalize: known({ inputs: [1], attrs: ['axis', 'eps'] }, l2Normalize),
}
