/// <reference lib="esnext.disposable" preserve="true" />
// One WebGPU device: what it has computed, the memory it reuses, and the kernels compiled for it.

import {
  type Machine,
  type Op,
  type Pass,
  type Run,
  type Shape,
  type Tensor,
  type TensorList as Inputs,
  type Values,
  type Variable,
} from '../kernels/op.ts'
import { callback, checkOptions, checkValue, inspect } from '../kernels/options.ts'
import { applyOp } from './apply.ts'
import { type Assembly, assemble } from './assemble.ts'
import type { Tuner } from './autotune.ts'
import { type BackwardOptions, type Weighted, backward, pullback } from './backward.ts'
import { type CaptureOptions, Captured } from './capture/capture.ts'
import type { Input } from './capture/inputs.ts'
import { free } from './free.ts'
import { type GpuOptions, rules, showGpu } from './gpu-rules.ts'
import { makeLeaf, makeTensor, makeVariable } from './make.ts'
import type { Gradients } from './optim/gradients.ts'
import type { Carried, StepResult } from './steps.ts'

export type { BackwardOptions, GpuOptions }

/** A GPU that runs and differentiates ops. Make one with `openGpu()`, or with `new Gpu(device)` in
 *  an app that owns a GPUDevice: the device stays the app's, none of its handlers is touched and it
 *  is never destroyed. After `destroy`, or once the device is lost, calls throw DeviceLostError. */
export class Gpu implements Machine {
  readonly device: GPUDevice
  /** True on a CPU adapter (software Vulkan). */
  readonly software: boolean
  readonly run: Run
  /** Measures which kernels are the fastest on this device, when told to. */
  readonly tuner: Tuner
  readonly #owns: boolean
  readonly #parts: Assembly

  /** Throws Error when the device lacks what the precision takes. */
  constructor(device: GPUDevice, options: GpuOptions = {}) {
    const { ownsDevice = false } = checkOptions('Gpu', options, rules.options)
    this.device = checkValue('Gpu', 'device', device, rules.device)
    this.#owns = ownsDevice
    this.#parts = assemble(this, device, options)
    this.software = this.#parts.software
    this.run = this.#parts.run
    this.tuner = this.#parts.tuner
  }

  /** A tensor holding `values`, whose kind decides the dtype: Uint8Array and Uint8ClampedArray
   *  u8, other integers i32, floats and plain arrays f32; of `shape`, or of the one that they
   *  have. Made inside a step it dies with it; outside, it lives as long as you hold it. Throws
   *  ShapeError, TypeError for what holds no numbers, RangeError for a number that would be
   *  lost. */
  tensor(values: Values, shape?: Shape): Tensor {
    return makeTensor(this.#living(), values, shape)
  }

  /** A tensor that may be written in place: a parameter, a running statistic, a queue. No step
   *  frees it: it lives until `free` or `destroy`, or until nothing holds it. Throws like
   *  `tensor`. */
  variable(values: Values, shape?: Shape): Variable {
    return makeVariable(this.#living(), values, shape)
  }

  /** Overwrites a variable; values of another kind are converted to its dtype. Throws ShapeError
   *  when the count of values is not its size, RangeError for a number that its dtype cannot
   *  hold, and like `tensor`. */
  write(variable: Variable, values: Values) {
    this.#living().tensors.write(variable, values)
  }

  /** The tensor's values, in row-major order, u8 and i32 as floats. What was dispatched so far
   *  is submitted at once, so the tensor may die while you wait. Throws GpuError for what went
   *  wrong since the last await, DeviceLostError, and RangeError for an i32 beyond 2^24 that no
   *  f32 equals. */
  read(t: Tensor): Promise<Float32Array> {
    return this.#parts.reads.read(t)
  }

  /** The number that a tensor of one element holds, of any shape. Throws ShapeError for another
   *  count, and like `read`. */
  item(t: Tensor): Promise<number> {
    return this.#parts.reads.item(t)
  }

  /** Submits what was dispatched and waits until the GPU has done it. Throws like `read`. */
  sync(): Promise<void> {
    return this.#parts.reads.sync()
  }

  /** Throws the first GpuError or DeviceLostError reported since the last check. */
  check(): Promise<void> {
    return this.#parts.reads.check()
  }

  /** Runs one training step as one command buffer and frees its tensors, except those it returns,
   *  which live until the next step ends. If the body throws, its commands are dropped and no
   *  variable has changed. A read inside the body submits what came before it. */
  step<T extends StepResult>(body: () => T): T {
    const { steps } = this.#living()
    return steps.run(checkValue('Gpu.step', 'body', body, callback))
  }

  /** Runs `carry = body(carry, item)` for each item and returns the last carry. Memory made in a
   *  turn is freed when it ends, except the carry's, which lives as long as turns return it; the
   *  last carry lives as what is made outside of the turns. Throws Error for another result. */
  fold<Item, Carry extends Carried>(
    items: readonly Item[],
    carry: Carry,
    body: (carry: Carry, item: Item) => Carry,
  ): Carry {
    return this.#living().steps.fold(items, carry, body)
  }

  /** Records the GPU commands of `body`, which is called with tensors that hold what `run` is
   *  given. After two identical recordings in a row, later calls replay them without running the
   *  JavaScript. A number that changes between steps must be a function (`Scalar`); put counters in
   *  `everyStep`. */
  capture<In extends readonly Input[], T extends StepResult>(
    body: (...inputs: In) => T,
    options: CaptureOptions = {},
  ): Captured<In, T> {
    return new Captured(this.#living(), body, options)
  }

  /** Calls `action` now, and again each time that a captured step is replayed: for what is not the
   *  GPU's, such as counting. */
  everyStep(action: () => void) {
    const { trace } = this.#living().commands
    checkValue('Gpu.everyStep', 'action', action, callback)
    if (trace) trace.act(action)
    else action()
  }

  /** Keeps the captured step under way from being replayed, and says why. */
  keepEager(reason: string) {
    this.#living().commands.trace?.refuse(reason)
  }

  /** Waits until at most `most` of the calls before this one have work on the GPU: a loop that
   *  awaits it once per step stays `most` steps ahead of the GPU. Throws like `read`. */
  pace(most = 2): Promise<void> {
    return this.#parts.reads.pace(most)
  }

  /** Runs `body` off the tape: nothing computed in it carries a gradient. Outside of a step, its
   *  tensors are freed when it ends, except those in what it returns, also within arrays, maps,
   *  sets and objects, which live as long as you hold them. Throws Error for an async body, whose
   *  later half would run on the tape again. */
  noGrad<T>(body: () => T): T {
    const { steps, tape } = this.#living()
    return steps.aside(body, (run) => tape.pause(run))
  }

  /** x itself, without its history: gradients flow to it and no further. */
  leaf(x: Tensor): Tensor {
    return makeLeaf(this.#living(), x)
  }

  /** Gradient of `output`, weighted by `cotangent` (ones by default), with respect to everything
   *  it was computed from; within a step, only to what was not computed itself, so that the
   *  others' memory can be used again at once. With `of`, to these tensors alone: the pass stops
   *  where none of them lies behind. Throws ShapeError, TypeError for what is no tensor, and
   *  Error when a variable was changed since the forward. */
  backward(output: Tensor, cotangent?: Tensor, options?: BackwardOptions): Gradients {
    return backward(this.#living(), output, cotangent, options)
  }

  /** The same of several outputs at once, each weighted by its cotangent. */
  pullback(weighted: Weighted, options?: BackwardOptions): Gradients {
    return pullback(this.#living(), weighted, options)
  }

  claim(name: string, by: object, pass: Pass): boolean {
    const { steps, tape } = this.#parts
    if (tape.paused || steps.running !== (pass === 'forward')) return true
    return steps.claims.take(name, by)
  }

  largest(x: Tensor): number | undefined {
    return this.#parts.tensors.largest(x)
  }

  toString() {
    return showGpu(this)
  }

  [inspect]() {
    return this.toString()
  }

  apply<In extends Inputs, Out extends Inputs, A>(
    op: Op<In, Out, A>,
    attrs: A,
    inputs: In,
  ): Readonly<Out> {
    return applyOp(this.#living(), op, attrs, inputs)
  }

  /** Moves variables, values and all, into one buffer, in order, each aligned to 256 bytes. Returns
   *  the whole as one flat variable, and where each begins in it, in elements. Optimizers update it
   *  in one dispatch. */
  flatten(variables: readonly Variable[]): { flat: Variable; offsets: readonly number[] } {
    return this.#living().tensors.flatten(variables)
  }

  /** Whether a variable that `flatten` moved still lies in that flat variable, and not in a later
   *  one. */
  isWithin(variable: Variable, flat: Variable): boolean {
    return this.#living().tensors.isWithin(variable, flat)
  }

  /** Counts since the start of what was compiled, dispatched and submitted, and bytes alive now. */
  stats() {
    const { commands, memory, reads, pipelines } = this.#parts
    const buffers = memory.made + reads.made
    return { ...commands.counts, buffers, pipelines: pipelines.size, bytes: memory.bytes }
  }

  /** Frees tensors and variables now, not when JavaScript collects what holds them: those given,
   *  and those in models, arrays and objects; of an optimizer or a moving average what it made, not
   *  its parameters; of a method all of these. What is freed throws when it is used. Freeing twice
   *  does nothing. Throws Error within a step, for what holds no tensors, and for another Gpu's. */
  free(...things: readonly object[]) {
    free(this.#living(), things)
  }

  /** Frees every buffer; the device too if this Gpu opened it. */
  destroy() {
    const { lifetime, commands, memory, pipelines, reads } = this.#parts
    lifetime.end('this Gpu was destroyed')
    for (const part of [commands, memory, pipelines, reads]) part.destroy()
    if (this.#owns) this.device.destroy()
  }

  /** `destroy`, at the end of the block that says `using gpu = ...`. */
  [Symbol.dispose]() {
    this.destroy()
  }

  /** The parts of a Gpu that can still be used. Throws DeviceLostError. */
  #living(): Assembly {
    this.#parts.lifetime.check()
    return this.#parts
  }
}
