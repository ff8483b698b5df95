/// <reference lib="esnext.disposable" preserve="true" />
// One WebGPU device: what it has computed, the memory it reuses, and the kernels compiled for it.

import {
  type Activations,
  type Dispatch,
  type Kernel,
  type Machine,
  type Make,
  type Op,
  type Pass,
  type Precision,
  type Run,
  type Shape,
  type Tensor,
  type TensorList as Inputs,
  type Values,
  type Variable,
  ShapeError,
  show,
  sizeOf,
} from '../kernels/op.ts'
import { numbersOf } from '../kernels/numbers.ts'
import { callback, checkOptions, checkTensor, checkValue, inspect } from '../kernels/options.ts'
import { type Parts, applyOp } from './apply.ts'
import { Tuner } from './autotune.ts'
import { type CaptureOptions, Captured } from './capture/capture.ts'
import type { Input } from './capture/inputs.ts'
import { Commands } from './commands.ts'
import { Reports, quiet } from './errors.ts'
import { Lifetime } from './lifetime.ts'
import { free } from './free.ts'
import { Memory } from './memory.ts'
import { Pipelines } from './pipelines.ts'
import { Readback } from './readback.ts'
import { checkBindings, checkDispatch, checkGroups } from './params.ts'
import { noteScale } from './optim/loss-scaler.ts'
import { rules, showGpu } from './gpu-rules.ts'
import { Spent } from './spent.ts'
import { type Carried, type StepResult, Steps } from './steps.ts'
import { Tape } from './tape.ts'
import { type Kernels, settingsOf } from './traits.ts'
import { Tensors } from './tensors.ts'
import { checkCotangent, wantedOf } from './values.ts'

export interface GpuOptions {
  /** True when `destroy` should destroy the device too. Leave it out for a device that an app already owns. */
  readonly ownsDevice?: boolean
  /** Arithmetic of matrix products and convolutions: 'f32' (the default), 'f16x3' or 'f16'. */
  readonly precision?: Precision
  /** What is kept of images for the backward pass: 'f32' (the default) or 'f16', halves. */
  readonly activations?: Activations
  /** For tests: 'gpu' runs a GPU's kernels on any adapter, 'matrices' those for subgroup matrices, emulated. */
  readonly kernels?: Kernels
  /** Called when waiting for the GPU begins; what it returns is called when the wait ends. */
  readonly onWait?: () => () => void
}

export interface BackwardOptions {
  /** Tensors whose gradients are wanted, such as an optimizer's variables; all that there are
   *  unless given. */
  readonly of?: Iterable<Tensor> | undefined
}

/** A GPU that runs and differentiates ops. Make one with `openGpu()`, or with `new Gpu(device)` in an app that
 *  owns a GPUDevice: the device stays the app's, none of its handlers is touched and it is never destroyed. */
export class Gpu implements Machine {
  readonly device: GPUDevice
  /** True on a CPU adapter (software Vulkan). */
  readonly software: boolean
  readonly run: Run
  /** Measures which kernels are the fastest on this device, when told to. */
  readonly tuner: Tuner
  readonly #owns: boolean
  readonly #commands: Commands
  readonly #memory: Memory
  readonly #pipelines: Pipelines
  readonly #tensors: Tensors
  readonly #readback: Readback
  readonly #parts: Parts
  readonly #reports = new Reports()
  readonly #steps: Steps
  readonly #lifetime: Lifetime

  /** Throws Error when the device lacks what the precision takes. */
  constructor(device: GPUDevice, options: GpuOptions = {}) {
    const {
      ownsDevice = false,
      onWait = () => () => {},
      ...chosen
    } = checkOptions('Gpu', options, rules.options)
    checkValue('Gpu', 'device', device, rules.device)
    this.device = device
    const { precision = 'f32', activations = 'f32', kernels = 'device' } = chosen
    const settings = settingsOf(device, { precision, activations, kernels })
    this.software = settings.software
    this.#owns = ownsDevice
    const { watch } = this.#reports
    this.#commands = new Commands(device, watch)
    this.#memory = new Memory(device, watch, (ids) => this.#commands.forget(ids))
    this.#pipelines = new Pipelines(device, watch)
    this.#readback = new Readback(this.#commands, onWait, () => this.#checking())
    const largest = device.limits.maxStorageBufferBindingSize
    this.#tensors = new Tensors(this, this.#memory, this.#commands, largest)
    this.#steps = new Steps(this.#memory, this.#commands, this.#tensors)
    const scratch = (body: () => unknown) => void this.#memory.scope(body, () => [])
    const explain = (cause: unknown) => this.#readback.explain(cause)
    this.tuner = new Tuner(device, () => this.#commands.flush(), scratch, explain)
    this.run = Object.assign(this.#run, {
      view: (x: Tensor, shape: Shape) => this.#tensors.view(x, shape),
      tensor: (values: Values, shape?: Shape) => this.#tensors.upload(values, shape),
      race: this.tuner.race,
      ...settings,
    }) as Run // the dispatch's types are checked at each call; here they are erased
    const [memory, tensors, run] = [this.#memory, this.#tensors, this.run]
    const passing = Object.assign(this.run.bind(null), run, { activations: 'f32' }) as Run // as above
    this.#parts = { memory, tensors, run, passing, tape: new Tape(), wanted: new WeakSet() }
    this.#lifetime = new Lifetime(device, ownsDevice)
  }

  /** A tensor holding `values`, whose kind decides the dtype: Uint8Array and Uint8ClampedArray
   *  u8, other integers i32, floats and plain arrays f32; of `shape`, or of the one that they
   *  have. Made inside a step it dies with it; outside, it lives as long as you hold it. Throws
   *  ShapeError, TypeError for what holds no numbers, RangeError for a number that would be
   *  lost. */
  tensor(values: Values, shape?: Shape): Tensor {
    this.#checkAlive()
    const numbers = numbersOf('tensor', values, shape)
    this.#commands.trace?.refuse(
      `a tensor ${show(numbers.shape)} was made of values in the step; pass it as an input`,
    )
    const t = this.#tensors.place(numbers)
    if (t.dtype === 'f32') this.#parts.wanted.add(t)
    return t
  }

  /** A tensor that may be written in place: a parameter, a running statistic, a queue. No step takes it back: it lives until
   *  `free` or `destroy`, or until nothing of yours holds it. Throws like `tensor`. */
  variable(values: Values, shape?: Shape): Variable {
    this.#checkAlive()
    const variable = this.#tensors.variable(values, shape)
    if (variable.dtype === 'f32') this.#parts.wanted.add(variable)
    return variable
  }

  /** Overwrites a variable; values of another kind are converted to its dtype. Throws ShapeError
   *  when the count of values is not its size, RangeError for a number that its dtype cannot
   *  hold, and like `tensor`. */
  write(variable: Variable, values: Values) {
    this.#checkAlive()
    checkValue('Gpu.write', 'variable', variable, rules.variable)
    this.#tensors.write(variable, values)
  }

  /** The tensor's values, in row-major order, u8 and i32 as floats. What was dispatched so far
   *  is submitted at once, so the tensor may die while you wait. Throws GpuError for what went
   *  wrong since the last await, DeviceLostError. */
  read(t: Tensor): Promise<Float32Array> {
    return quiet(this.#read(t))
  }

  /** The number that a tensor of one element holds, of any shape. Throws ShapeError for another
   *  count, and like `read`. */
  item(t: Tensor): Promise<number> {
    return quiet(this.#item(t))
  }

  /** Submits what was dispatched and waits until the GPU has done it. Throws like `read`. */
  sync(): Promise<void> {
    return quiet(this.#sync())
  }

  /** Throws the first GpuError or DeviceLostError reported since the last check. */
  check(): Promise<void> {
    return quiet(this.#checking()())
  }

  /** Runs one training step as one command buffer. Every tensor made in it is reclaimed, save what it returns, which
   *  lives until the next step ends. If the body throws, what it dispatched is dropped and no variable has changed; a
   *  read inside the body submits what came before it. */
  step<T extends StepResult>(body: () => T): T {
    this.#checkAlive()
    checkValue('Gpu.step', 'body', body, callback)
    return this.#steps.run(body)
  }

  /** What the last turn of `body` returns, which is run on each item and what it returned for the one before, first on `carry`.
   *  What a turn makes is reclaimed at its end, save what it returns, which lives on while each turn returns it again; the
   *  last result lives on as what is made outside of the turns. */
  fold<Item, Carry extends Carried>(
    items: readonly Item[],
    carry: Carry,
    body: (carry: Carry, item: Item) => Carry,
  ): Carry {
    checkValue('Gpu.fold', 'items', items, rules.list)
    checkValue('Gpu.fold', 'body', body, callback)
    return this.#steps.fold(items, carry, body)
  }

  /** A step whose commands are written down while its JavaScript runs and done when that ends; once it has commanded the same
   *  twice in a row it is replayed without running its JavaScript. `body` is called with tensors that hold what `run` is
   *  given; numbers of its own that change from step to step must be functions (`Scalar`), and counts must go on in
   *  `everyStep`. */
  capture<In extends readonly Input[], T extends StepResult>(
    body: (...inputs: In) => T,
    options: CaptureOptions = {},
  ): Captured<In, T> {
    const settings = () => {
      this.#checkAlive()
      return { ...this.run, tapePaused: this.#parts.tape.paused }
    }
    const parts = {
      ...this.#parts,
      ...{ commands: this.#commands, steps: this.#steps, tuner: this.tuner, settings },
    }
    return new Captured(parts, body, options)
  }

  /** Does something that is not the GPU's, such as counting, now, and again each time that a captured step is replayed. */
  everyStep(action: () => void) {
    checkValue('Gpu.everyStep', 'action', action, callback)
    if (this.#commands.trace) this.#commands.trace.act(action)
    else action()
  }

  /** Keeps the captured step under way from being replayed, and says why. */
  keepEager(reason: string) {
    this.#commands.trace?.refuse(reason)
  }

  /** Waits until at most `most` of the calls before this one have work on the GPU: a loop that awaits it once per step
   *  stays so many steps ahead of the GPU. Throws like `read`. */
  pace(most = 2): Promise<void> {
    return quiet(this.#pace(most))
  }

  /** Runs `body` off the tape: nothing computed in it carries a gradient. Outside of a step, what it made is reclaimed when it
   *  ends, save the tensors in what it returns, also within arrays, maps, sets and objects, which live as long as you hold
   *  them. Throws Error for an async body, whose later half would run on the tape again. */
  noGrad<T>(body: () => T): T {
    checkValue('Gpu.noGrad', 'body', body, callback)
    return this.#steps.aside(() => {
      const result = this.#parts.tape.pause(body)
      if (!(result instanceof Promise)) return result
      result.catch(() => {}) // what it goes on to is lost
      throw new Error('Gpu.noGrad: the body must not be async; await outside of it')
    })
  }

  /** x itself, without its history: gradients flow to it and no further. */
  leaf(x: Tensor): Tensor {
    checkTensor('Gpu.leaf', 'x', x)
    const leaf = this.#tensors.view(x, x.shape)
    if (x.dtype === 'f32') this.#parts.wanted.add(leaf)
    return leaf
  }

  /** Gradient of `output`, weighted by `cotangent` (ones by default), with respect to everything
   *  it was computed from; within a step, only to what was not computed itself, so that the
   *  others' memory can be used again at once. With `of`, to these tensors alone: the pass stops
   *  where none of them lies behind. Throws ShapeError, TypeError for what is no tensor, and
   *  Error when a variable was changed since the forward. */
  backward(output: Tensor, cotangent?: Tensor, options?: BackwardOptions): Map<Tensor, Tensor> {
    checkTensor('Gpu.backward', 'output', output)
    if (cotangent !== undefined) checkTensor('Gpu.backward', 'cotangent', cotangent)
    const ones = () => this.#tensors.upload(new Float32Array(sizeOf(output.shape)).fill(1), output.shape)
    return this.#pull('Gpu.backward', [[output, cotangent ?? ones()]], options)
  }

  /** The same of several outputs at once, each weighted by its cotangent. */
  pullback(
    weighted: readonly (readonly [output: Tensor, cotangent: Tensor])[],
    options?: BackwardOptions,
  ): Map<Tensor, Tensor> {
    checkValue('Gpu.pullback', 'weighted', weighted, rules.pairs)
    return this.#pull('Gpu.pullback', weighted, options)
  }

  claim(name: string, by: object, pass: Pass): boolean {
    if (this.#parts.tape.paused || this.#steps.running !== (pass === 'forward')) return true
    return this.#steps.claims.take(name, by)
  }

  largest(x: Tensor): number | undefined {
    return this.#tensors.largest(x)
  }

  toString() {
    return showGpu(this)
  }

  [inspect]() {
    return this.toString()
  }

  apply<In extends Inputs, Out extends Inputs, A>(op: Op<In, Out, A>, attrs: A, inputs: In): Readonly<Out> {
    this.#checkAlive()
    return applyOp(this.#parts, op, attrs, inputs)
  }

  /** Moves variables into one buffer, in order, each aligned to 256 bytes, values and all, and returns the whole as
   *  one flat variable with each one's offset in elements. Optimizers update it in one dispatch. */
  flatten(variables: readonly Variable[]): { flat: Variable; offsets: readonly number[] } {
    this.#commands.trace?.refuse('variables were moved in the step; make optimizers outside of it')
    checkValue('Gpu.flatten', 'variables', variables, rules.variables)
    return this.#tensors.flatten(variables)
  }

  /** Whether a variable that `flatten` moved still lies in that flat variable, and not in a later one. */
  isWithin(variable: Variable, flat: Variable): boolean {
    checkTensor('Gpu.isWithin', 'variable', variable)
    checkTensor('Gpu.isWithin', 'flat', flat)
    return this.#tensors.isWithin(variable, flat)
  }

  /** Counts since the start, for tests and benches: what was compiled, dispatched, submitted, and bytes alive now. */
  stats() {
    const buffers = this.#memory.made + this.#readback.made
    return { ...this.#commands.counts, buffers, pipelines: this.#pipelines.size, bytes: this.#memory.bytes }
  }

  /** Gives the memory of tensors and variables back now, not when JavaScript collects what holds them: those given, and those in
   *  models, arrays and objects; of an optimizer or a moving average what it made, not its parameters; of a method all of
   *  these. What is freed throws when it is used. Freeing twice does nothing. Throws Error within a step, for what holds no
   *  tensors, and for another Gpu's. */
  free(...things: readonly object[]) {
    this.#checkAlive()
    if (this.#steps.running) throw new Error('Gpu.free: nothing can be freed within a step; free it after')
    free({ ...this.#parts, commands: this.#commands }, things)
  }

  /** Frees every buffer; the device too if this Gpu opened it. */
  destroy() {
    this.#lifetime.end('this Gpu was destroyed')
    this.#commands.destroy()
    this.#memory.destroy()
    this.#pipelines.destroy()
    this.#readback.destroy()
    if (this.#owns) this.device.destroy()
  }

  /** `destroy`, at the end of the block that says `using gpu = ...`. */
  [Symbol.dispose]() {
    this.destroy()
  }

  #pull(
    owner: string,
    weighted: readonly (readonly [output: Tensor, cotangent: Tensor])[],
    options: BackwardOptions | undefined,
  ): Map<Tensor, Tensor> {
    const { of } = checkOptions(owner, options, rules.backward)
    for (const [output, cotangent] of weighted) checkCotangent(cotangent, output)
    const wanted = wantedOf(owner, of)
    this.#tensors.storages([...(wanted ?? [])]) // throws for one that is gone, or another Gpu's
    const spent = this.#steps.running ? new Spent(this.#tensors, this.#memory) : null
    if (!spent) this.#steps.claims.clear()
    const gradients = this.#parts.tape.backward(this.run, weighted, { of: wanted, spent })
    noteScale(
      gradients,
      weighted.map(([, cotangent]) => cotangent),
    )
    return gradients
  }

  #run = <const Makes extends readonly Make[] = []>(kernel: Kernel, dispatch: Dispatch<Makes>): Tensor[] => {
    this.#checkAlive()
    checkDispatch(kernel, dispatch)
    const { reads = [], updates = [], makes, params = {}, constants, groups } = dispatch
    const pipeline = this.#pipelines.get(kernel, constants)
    const made = (makes ?? []).map((make) => this.#tensors.alloc(make))
    checkBindings(kernel, reads.length, updates.length + made.length)
    const storages = this.#tensors.storages([...reads, ...updates, ...made])
    this.#tensors.touch(updates)
    const [x, y = 1, z = 1] = groups
    checkGroups(kernel, [x, y, z])
    if (x * y * z > 0) this.#commands.dispatch(pipeline, kernel, storages, params, [x, y, z])
    return made
  }

  async #read(t: Tensor): Promise<Float32Array> {
    checkTensor('Gpu.read', 'tensor', t)
    this.#checkAlive()
    const reading = this.#readback.read(this.#tensors.storage(t), t.dtype, sizeOf(t.shape))
    this.#steps.tick()
    return reading
  }

  async #item(t: Tensor): Promise<number> {
    checkTensor('Gpu.item', 'tensor', t)
    if (sizeOf(t.shape) !== 1)
      throw new ShapeError(`Gpu.item: the tensor must hold one number, got ${show(t.shape)}; read it`)
    const [number = NaN] = await this.#read(t)
    return number
  }

  async #sync(): Promise<void> {
    this.#checkAlive()
    this.#commands.flush()
    this.#steps.tick()
    await this.#readback.pace(0)
  }

  async #pace(most: number): Promise<void> {
    this.#checkAlive()
    this.#commands.flush()
    await this.#readback.pace(most)
  }

  /** Takes note of what was asked for so far, and returns a function that throws what went wrong
   *  with it. */
  #checking(): () => Promise<void> {
    const soFar = this.#reports.soFar()
    return async () => {
      const failure = await soFar()
      this.#checkAlive()
      if (failure) throw failure
    }
  }

  #checkAlive() {
    this.#lifetime.check()
  }
}
