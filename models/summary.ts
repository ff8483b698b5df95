// The layers of a model, with their shapes and what they cost.

import { type DType, type Machine, type Shape, show, sizeOf } from '../kernels/op.ts'
import { checkOptions, checkValue, flag, inspect, onGpu, oneOf, rule } from '../kernels/options.ts'
import { dryRun } from '../engine/debug/dry-run.ts'
import { WIDTH, amount, bytesText, tabled } from '../engine/debug/table.ts'
import { type TraceRow, Recorder } from '../engine/debug/trace.ts'
import { byteSize } from '../engine/values.ts'
import { withImageHint } from './channels-first.ts'
import type { Model } from './model.ts'
import { isModel } from './parts.ts'

/** Options of `summary`. */
export interface SummaryOptions {
  /** Element type of the input; 'f32' by default, 'i32' for tokens. */
  readonly dtype?: DType
  /** True summarises the forward of training; false by default. */
  readonly training?: boolean
  /** The Gpu of a model without parameters; the parameters' own by default. */
  readonly gpu?: Machine
}

/** An op of a model. */
export interface SummaryRow {
  /** The layers whose parameters it takes, such as 'conv1, bn1'; null for an op without any. */
  readonly layer: string | null
  readonly op: string
  readonly output: Shape
  /** How many numbers its parameters have; 0 for those that an op before it has used. */
  readonly parameters: number
  /** FLOPs, two for each multiply-add; null for an op that is no product. */
  readonly flops: number | null
  /** Bytes of its output. */
  readonly bytes: number
}

const LAYER = 28 // characters of a layer's name; where less is left, bytes are not printed

/** The ops of a model in the order in which they run, and their totals. Prints as a table. */
export class Summary {
  readonly rows: readonly SummaryRow[]
  /** How many numbers all parameters have, unused ones included. */
  readonly parameters: number
  /** How many numbers the running statistics have. */
  readonly statistics: number
  /** FLOPs of the products, two for each multiply-add. */
  readonly flops: number
  /** Bytes of all outputs together. */
  readonly bytes: number
  /** The names of parameters that the forward does not use. */
  readonly unused: readonly string[]

  constructor({ parameters, norms }: Model, traced: readonly TraceRow[]) {
    const left = new Map(Object.entries(parameters).map(([name, v]) => [name, sizeOf(v.shape)]))
    const sum = (of: Iterable<number>) => [...of].reduce((a, b) => a + b, 0)
    this.parameters = sum(left.values())
    this.statistics = sum(
      Object.values(norms).map(({ mean, variance }) => sizeOf(mean.shape) + sizeOf(variance.shape)),
    )
    const take = (name: string) => {
      const size = left.get(name) ?? 0
      left.delete(name)
      return size
    }
    this.rows = traced.map((row) => {
      const [output] = row.outputs
      const { shape, dtype } = output ?? { shape: [], dtype: 'f32' as const }
      const { layer, op, flops } = row
      const own = sum(row.parameters.map(take))
      return { layer, op, output: shape, parameters: own, flops, bytes: byteSize(dtype, shape) }
    })
    this.flops = sum(this.rows.map((row) => row.flops ?? 0))
    this.bytes = sum(this.rows.map((row) => row.bytes))
    this.unused = [...left.keys()]
  }

  /** Prints a table of at most `width` characters, 80 by default; without the bytes where they do
   *  not fit. */
  table(width = WIDTH): string {
    const right = ['params', 'FLOPs', 'bytes'].map((head) => ({ head, right: true }))
    const cells = this.rows.map(({ layer, op, output, parameters, flops, bytes }) => [
      ...[layer ?? op, show(output), parameters === 0 ? '' : amount(parameters)],
      ...[flops === null ? '' : amount(flops), bytesText(bytes)],
    ])
    const columns = [{ head: 'layer' }, { head: 'output' }, ...right]
    const others = cells.map((row) => row.slice(1))
    const taken = tabled(columns.slice(1), others, Infinity).map((line) => line.length)
    const fits = width - Math.max(...taken) > LAYER
    const lines = tabled(fits ? columns : columns.slice(0, -1), cells, width)
    return [...lines, '', ...this.#totals()].join('\n')
  }

  toString() {
    return this.table()
  }

  [inspect]() {
    return this.table()
  }

  #totals(): string[] {
    const { parameters, statistics, flops, bytes, unused } = this
    const count = parameters.toLocaleString('en-US')
    const [first, ...others] = unused
    const more = others.length > 0 ? ` and ${others.length} more` : ''
    return [
      `parameters  ${count} (${bytesText(4 * parameters)})`,
      ...(statistics > 0 ? [`statistics  ${statistics.toLocaleString('en-US')}`] : []),
      `FLOPs       ${amount(flops)}: products, 2 a multiply-add`,
      `outputs     ${bytesText(bytes)}`,
      ...(first === undefined ? [] : [`not used    ${first}${more}`]),
    ]
  }
}

const isModelRule = rule('a model, with parameters and a forward', isModel)
const isSize = (v: unknown) => Number.isInteger(v) && Number(v) >= 1
const shapeRule = rule(
  'the shape of the input, such as [1, 32, 32, 3]',
  (v) => Array.isArray(v) && v.length > 0 && v.every(isSize),
)
const rules = { dtype: oneOf('f32', 'i32', 'u8'), training: flag, gpu: onGpu }

/** Lists the ops of a model's forward on an input of this `shape`: their layers, output shapes,
 *  parameters, FLOPs and bytes. Layers are known by the names of the parameters that an op takes,
 *  so models of your own need nothing for it. FLOPs are those of convolutions and matrix products,
 *  two for each multiply-add; an op of your own counts them by its `flops`. It is computed on
 *  paper: no kernel runs, and no memory is taken. Throws ShapeError for a shape that the model does
 *  not take. */
export function summary(model: Model, shape: Shape, options: SummaryOptions = {}): Summary {
  checkValue('summary', 'model', model, isModelRule)
  checkValue('summary', 'shape', shape, shapeRule)
  const { dtype = 'f32', training = false, gpu } = checkOptions('summary', options, rules)
  const machine = gpu ?? Object.values(model.parameters)[0]?.gpu
  if (!machine)
    throw new Error(
      'summary: the model has no parameters that tell its Gpu; give it, as in summary(model, shape, { gpu })',
    )
  const recorder = new Recorder(model.parameters)
  withImageHint('an image', shape.slice(1), () =>
    dryRun('summary', machine, { shape, dtype }, (x) => model.forward(x, { training }), recorder),
  )
  return new Summary(model, recorder.rows)
}
