// What a body runs: its ops with shapes, layers and kernels.

import { type DType, type Machine, type Pass, type Shape, show } from '../../kernels/op.ts'
import { checkOptions, inspect } from '../../kernels/options.ts'
import type { KernelCall, OpCall } from '../observe.ts'
import type { Named } from '../named.ts'
import { type Place, Layers, NOWHERE, namedRule } from './layers.ts'
import { tabled } from './table.ts'
import { type Watcher, watched } from './watch.ts'

/** Options of `trace`. */
export interface TraceOptions {
  /** Names of parameters, as `parametersOf` returns. Those of `Builder` and of optimizers are known
   *  without it. */
  readonly parameters?: Named
}

/** The shape and the element type of a tensor. */
export interface TensorKind {
  readonly shape: Shape
  readonly dtype: DType
}

/** An op in one of its passes; or a kernel outside of ops, by its name. */
export interface TraceRow extends Place {
  readonly op: string
  /** 'update' for what runs outside of ops and backward passes: an optimizer, a queue. */
  readonly pass: Pass | 'update'
  /** Its inputs; in the backward pass the gradients of its outputs. */
  readonly inputs: readonly (TensorKind | null)[]
  /** Its outputs; in the backward pass the gradients of its inputs, null where there is none; of an
   *  update what it wrote. */
  readonly outputs: readonly (TensorKind | null)[]
  /** The kernels that it dispatched, in order. */
  readonly kernels: readonly string[]
  /** FLOPs of a forward pass that is a product, two for each multiply-add; else null. */
  readonly flops: number | null
}

/** The ops of a body in the order in which they ran. Prints as a table. */
export class OpTrace {
  readonly rows: readonly TraceRow[]

  constructor(rows: readonly TraceRow[]) {
    this.rows = rows
  }

  /** Prints a table of at most `width` characters, 80 by default. */
  table(width?: number): string {
    const heads = ['pass', 'op', 'layer', 'output'].map((head) => ({ head }))
    const cells = this.rows.map((row) => [
      row.pass,
      row.op,
      row.layer ?? '',
      shapesOf(row),
      String(row.kernels.length),
    ])
    const lines = tabled([...heads, { head: 'dispatches', right: true }], cells, width)
    const dispatches = this.rows.reduce((sum, { kernels }) => sum + kernels.length, 0)
    return [...lines, `${this.rows.length} ops, ${dispatches} dispatches`].join('\n')
  }

  toString() {
    return this.table()
  }

  [inspect]() {
    return this.table()
  }
}

/** The output of a forward pass without what it keeps for the backward; else all that was made. */
const shapesOf = ({ pass, outputs }: TraceRow) =>
  (pass === 'forward' ? outputs.slice(0, 1) : outputs)
    .flatMap((out) => (out ? [show(out.shape)] : []))
    .join(' ')

const kindOf = (t: TensorKind | null): TensorKind | null =>
  t && { shape: [...t.shape], dtype: t.dtype }

/** Collects the rows of a trace. */
export class Recorder implements Watcher {
  readonly rows: TraceRow[] = []
  readonly #layers: Layers
  #kernels: string[] = [] // of the op that is running

  constructor(names: Named | undefined) {
    this.#layers = new Layers(names)
  }

  readonly op = ({ name, pass, inputs, cotangents, flops }: OpCall) => {
    const kernels: string[] = []
    this.#kernels = kernels
    const place = this.#layers.place(inputs)
    return (made: readonly (TensorKind | null)[]) => {
      const isForward = pass === 'forward'
      if (isForward) this.#layers.made(made as OpCall['cotangents'], place)
      this.rows.push({
        ...{ op: name, pass, ...place, kernels, outputs: made.map(kindOf) },
        inputs: (isForward ? inputs : cotangents).map(kindOf),
        flops: (isForward && flops()) || null,
      })
    }
  }

  readonly kernel = ({ kernel, pass, isOfOp, reads, updates, made }: KernelCall) => {
    if (isOfOp) this.#kernels.push(kernel.name)
    else
      this.rows.push({
        ...{ op: kernel.name, pass, ...NOWHERE, kernels: [kernel.name] },
        ...{
          inputs: [...new Set(reads)].map(kindOf),
          outputs: [...updates, ...made].map(kindOf),
          flops: null,
        },
      })
    return () => {}
  }
}

/** Runs `body` and returns its ops, in their order, with shapes, layers and kernels. Captured steps
 *  in it run their JavaScript. Then puts back what the body changed: variables that kernels wrote,
 *  such as weights, and the counters of optimizers, methods and batch norms. Does not put back what
 *  JavaScript changed: its variables, and what `gpu.write` wrote where no kernel wrote. Its tensors
 *  are freed. Throws Error within a step, and for an async body. */
export function trace(gpu: Machine, body: () => unknown, options: TraceOptions = {}): OpTrace {
  const { parameters } = checkOptions('trace', options, { parameters: namedRule })
  const recorder = new Recorder(parameters)
  watched('trace', gpu, body, recorder)
  return new OpTrace(recorder.rows)
}
