// What each op becomes in ONNX (https://onnx.ai/onnx/operators/).

import { type Shape, type Tensor, dim } from '../../kernels/op.ts'
import type { Call, Convert, Graph, GraphValue } from './graph.ts'
import type { Attribute } from './proto.ts'
import { tokenOperators } from './token-operators.ts'

const isImage = ({ shape }: Tensor) => shape.length === 4

/** The i-th input. */
function input({ name, inputs }: Call, i: number): Tensor {
  const found = inputs[i]
  if (!found) throw new Error(`exportOnnx: ${name} has no input ${i}`)
  return found
}

/** The output of a node whose images are [N, C, H, W]. */
const alike = (output: Tensor) => ({ shape: output.shape, isImage: isImage(output) })

/** An operand of an elementwise op as ONNX broadcasts it against images of another layout. */
function operand(graph: Graph, x: Tensor, asImage: boolean): string {
  if (graph.valueOf(x) && (isImage(x) || !asImage)) return graph.computed(x, asImage && isImage(x))
  if (!asImage) return graph.weight(x)
  const shape = [...Array<number>(4 - x.shape.length).fill(1), ...x.shape]
  if (!graph.valueOf(x)) {
    const [N = 1, H = 1, W = 1, C = 1] = shape
    return H * W === 1 || C === 1
      ? graph.weight(x, { shape: [N, C, H, W] })
      : graph.weight(x, { shape: [N, C, H, W], order: [0, 3, 1, 2] })
  }
  const wide = graph.node('Reshape', [graph.computed(x, false), graph.integers(shape)])
  return graph.node('Transpose', [wide], { perm: [0, 3, 1, 2] })
}

/** An op of one ONNX operator, element by element. */
const elementwise =
  (op: string, attributes: (attrs: never) => Record<string, Attribute> = () => ({})): Convert =>
  (graph, call) => {
    const asImage = isImage(call.output)
    const names = call.inputs.map((x) => operand(graph, x, asImage))
    return graph.value(op, names, alike(call.output), attributes(call.attrs as never)) // as the op's
  }

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

const reshaped: Convert = (graph, call) => {
  const target = graph.integers(graph.anyBatch(call.output.shape))
  return graph.value('Reshape', [graph.computed(input(call, 0), false), target], {
    shape: call.output.shape,
  })
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

const unitRows: Convert = (graph, call) => {
  const { axis } = call.attrs as { readonly axis: number }
  const x = graph.computed(input(call, 0), false)
  const shape: Shape = call.output.shape
  return graph.value('LpNormalization', [x], { shape }, { axis, p: 2 })
}

/** ONNX's form of each op, by its name. */
export const operators: Readonly<Record<string, Convert>> = {
  conv2d: (graph, call) => convolution(graph, call, call.attrs as Steps, call.inputs[2]),
  convNorm,
  batchNorm(graph, call) {
    const x = graph.computed(input(call, 0), isImage(call.output))
    return normalised(graph, call, x, call.attrs as Norm, call.inputs.slice(1))
  },
  ...{ add: elementwise('Add'), sub: elementwise('Sub'), mul: elementwise('Mul') },
  ...{ div: elementwise('Div'), relu: elementwise('Relu'), tanh: elementwise('Tanh') },
  ...{ sigmoid: elementwise('Sigmoid'), exp: elementwise('Exp'), abs: elementwise('Abs') },
  ...{ log: elementwise('Log'), sqrt: elementwise('Sqrt'), softplus: elementwise('Softplus') },
  ...{ maximum: elementwise('Max'), minimum: elementwise('Min') },
  maxPool: pool('MaxPool'),
  avgPool: pool('AveragePool', { count_include_pad: 1 }),
  globalAvgPool: meanOverPixels,
  ...tokenOperators,
  ...{ addPooled, residualUnit, padReflect, linear, reshape: reshaped, l2Normalize: unitRows },
}
