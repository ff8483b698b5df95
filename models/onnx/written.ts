// Writes a model as ONNX. The graph is made of the ops that the model's forward runs, in evaluation
// mode.

import { type Shape, type Tensor, ShapeError, show, sizeOf } from '../../kernels/op.ts'
import { dryRun } from '../../engine/debug/dry-run.ts'
import type { Gpu } from '../../engine/gpu.ts'
import { withImageHint } from '../channels-first.ts'
import type { OnnxOptions } from '../export-onnx.ts'
import type { Model } from '../model.ts'
import { variablesOf } from '../state.ts'
import { Graph } from './graph.ts'
import { halfBits } from './half.ts'
import { operators } from './operators.ts'
import { type Constant, type Node, dataTypes, encodeOnnx } from './proto.ts'

const BATCH = 5 // samples while the forward runs, a size that few other axes have
const BEYOND_HALF = 65520 // rounds to infinity in f16
const PREFIX = 'f16_'

/** Implements `exportOnnx`. */
export async function written(
  gpu: Gpu,
  model: Model,
  { input, unit = false, half = false, metadata = {} }: OnnxOptions,
): Promise<Uint8Array> {
  const { graph, output } = withImageHint('input', input, () => traced(gpu, model, input))
  const last = unit ? graph.node('LpNormalization', [output], { axis: 1, p: 2 }) : output
  const values = await Promise.all(graph.weights.map(({ from }) => gpu.read(from)))
  const weights = graph.weights.map(({ name, shape, from, order }, i): Constant => {
    const data = laidOut(values[i] ?? new Float32Array(), from.shape, order)
    if (half) checkWeights(name, data)
    return { name, shape, ...stored(data, half) }
  })
  const numbers = graph.numbers.map(({ name, value }): Constant => {
    if (half) checkHalf(value)
    return { name, shape: [], ...stored(Float32Array.of(value), half) }
  })
  const [H = 1, W = 1, C = 1] = input
  return encodeOnnx({
    nodes: withCasts(graph.nodes, last, half),
    constants: [...weights, ...numbers, ...graph.constants],
    input: { name: 'input', shape: ['N', ...(input.length === 3 ? [C, H, W] : input)] },
    output: { name: 'embedding', shape: ['N', model.features] },
    metadata,
  })
}

/** Runs the model's forward on paper, and makes the graph of its ops. */
function traced(gpu: Gpu, model: Model, input: Shape) {
  const names = new Map(Object.entries(variablesOf(model)).map(([name, t]) => [t as Tensor, name]))
  const graph = new Graph(BATCH, names)
  const shape = [BATCH, ...input]
  let result = ''
  const forward = (x: Tensor) => {
    graph.bind(x, { name: 'input', shape, isImage: input.length === 3, grows: true })
    const y = model.forward(x, { training: false })
    if (y.shape.join() !== `${BATCH},${model.features}` || !graph.grows(y))
      throw new ShapeError(
        `exportOnnx: the forward must return [N, ${model.features}], a row of features for each sample, got ${show(y.shape)} for N = ${BATCH}`,
      )
    result = graph.computed(y, false)
    return y
  }
  dryRun('exportOnnx', gpu, { shape, dtype: 'f32' }, forward, {
    op:
      ({ name, attrs, inputs }) =>
      (outputs) => {
        const convert = Object.hasOwn(operators, name) ? operators[name] : undefined
        const [output] = outputs
        if (!convert || !output) throw graph.noForm({ name, inputs })
        const call = { name, attrs, inputs, output }
        const grows = inputs.some((x) => graph.grows(x))
        for (const [i, value] of [convert(graph, call)].flat().entries()) {
          const made = outputs[i]
          if (made) graph.bind(made, { grows, ...value })
        }
      },
    kernel: () => () => undefined,
  })
  return { graph, output: result }
}

/** Numbers with their axes in another order. */
function laidOut(
  values: Float32Array,
  shape: Shape,
  order: readonly number[] | null,
): Float32Array {
  if (!order) return values
  const strides = shape.map((_, axis) => sizeOf(shape.slice(axis + 1)))
  const target = order.map((axis) => shape[axis] ?? 1)
  const steps = order.map((axis) => strides[axis] ?? 1)
  return values.map((_, i) => {
    let [rest, at] = [i, 0]
    for (let axis = order.length - 1; axis >= 0; axis--) {
      const size = target[axis] ?? 1
      at += (rest % size) * (steps[axis] ?? 1)
      rest = Math.floor(rest / size)
    }
    return values[at] ?? NaN
  })
}

/** Throws RangeError for a number that f16 makes 0 or infinite. */
function checkHalf(value: number) {
  const size = Math.abs(value)
  if (size > 0 && size < Infinity && (size >= BEYOND_HALF || size <= 2 ** -25))
    throw new RangeError(
      `exportOnnx: the forward's number ${value} lies outside of f16; leave out half, or choose one between 6e-8 and 65504`,
    )
}

/** Throws RangeError for weights that f16 makes infinite. */
function checkWeights(name: string, data: Float32Array) {
  const beyond = data.find((value) => Math.abs(value) >= BEYOND_HALF && Math.abs(value) < Infinity)
  if (beyond !== undefined)
    throw new RangeError(
      `exportOnnx: ${name} holds ${beyond}, which f16 makes infinite (its largest number is 65504); leave out half`,
    )
}

function stored(data: Float32Array, half: boolean): Pick<Constant, 'type' | 'bytes'> {
  if (!half) return { type: dataTypes.f32, bytes: new Uint8Array(data.slice().buffer) }
  const bytes = new Uint8Array(Uint16Array.from(data, halfBits).buffer)
  return { type: dataTypes.f16, bytes }
}

/** The nodes from 'input' to 'embedding', between casts to f16 and back if it computes in f16. */
function withCasts(nodes: readonly Node[], last: string, half: boolean): Node[] {
  const named = (name: string) => (half && name === 'input' ? `${PREFIX}input` : name)
  const cast = (input: string, output: string, to: number): Node => ({
    ...{ op: 'Cast', inputs: [input], output },
    attributes: { to },
  })
  const inner = nodes.map(({ inputs, ...more }) => ({ ...more, inputs: inputs.map(named) }))
  if (half)
    return [
      cast('input', `${PREFIX}input`, dataTypes.f16),
      ...inner,
      cast(last, 'embedding', dataTypes.f32),
    ]
  return [...inner, { op: 'Identity', inputs: [last], output: 'embedding', attributes: {} }]
}
