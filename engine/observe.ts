// Tells an observer of ops, kernels and counters as they run. debug/ is built on it; without an
// observer it costs a comparison for each op and kernel.

import type { Kernel, Pass, Tensor } from '../kernels/op.ts'

/** An op that is about to run. */
export interface OpCall {
  readonly name: string
  readonly pass: Pass
  readonly attrs: unknown
  /** The inputs of its forward, in both passes. */
  readonly inputs: readonly Tensor[]
  /** The gradients of its outputs; [] in the forward pass. */
  readonly cotangents: readonly (Tensor | null)[]
  /** Returns the FLOPs of the forward pass; undefined for an op that does not count them. */
  readonly flops: () => number | undefined
}

/** A kernel that is about to run. */
export interface KernelCall {
  readonly kernel: Kernel
  /** 'update' outside of ops and backward passes. */
  readonly pass: Pass | 'update'
  /** True if an op dispatches it. */
  readonly isOfOp: boolean
  readonly reads: readonly Tensor[]
  readonly updates: readonly Tensor[]
  readonly made: readonly Tensor[]
}

/** Sees what runs. It may run kernels itself, of which it is not told. */
export interface Observer {
  /** True compiles no kernel and runs none. */
  readonly isDry: boolean
  /** Called before an op runs. Returns a function that is called with what it made: outputs, or the
   *  gradients of its inputs. */
  op(call: OpCall): (made: readonly (Tensor | null)[]) => void
  /** Called before a kernel runs. Returns a function that is called after. */
  kernel(call: KernelCall): () => void
  /** Called with what takes back a counter's step. */
  counted(undo: () => void): void
}

/** The place of a Gpu's observer. */
export class Observing {
  #observer: Observer | null = null
  #inOp = false
  #isBackward = false

  /** True while something observes: captured steps then run their JavaScript. */
  get isActive(): boolean {
    return this.#observer !== null
  }

  /** True while kernels are neither compiled nor run. */
  get isDry(): boolean {
    return this.#observer?.isDry ?? false
  }

  /** Runs `body` under an observer. Throws Error in the name of `owner` within another's. */
  watch<T>(owner: string, observer: Observer, body: () => T): T {
    if (this.#observer)
      throw new Error(`${owner}: it cannot run in the body of trace, findNaN or summary`)
    this.#observer = observer
    try {
      return body()
    } finally {
      this.#observer = null
      this.#isBackward = false
      this.#inOp = false
    }
  }

  /** Runs an op, and tells of it: before by `call`, and after with what it made. */
  op<Made extends readonly (Tensor | null)[]>(call: () => OpCall, run: () => Made): Made {
    const observer = this.#observer
    if (!observer) return run()
    const after = this.#apart(observer, () => observer.op(call()))
    this.#inOp = true
    try {
      const made = run()
      this.#apart(observer, () => after(made))
      return made
    } finally {
      this.#inOp = false
    }
  }

  /** Runs a kernel, and tells of it. */
  kernel(call: () => Omit<KernelCall, 'pass' | 'isOfOp'>, run: () => void) {
    const observer = this.#observer
    if (!observer) {
      run()
      return
    }
    const isOfOp = this.#inOp
    const pass = this.#isBackward ? 'backward' : isOfOp ? 'forward' : 'update'
    const after = this.#apart(observer, () => observer.kernel({ ...call(), pass, isOfOp }))
    run()
    this.#apart(observer, after)
  }

  /** Tells of a counter's step. */
  counted(undo: () => void) {
    this.#observer?.counted(undo)
  }

  /** Runs a backward pass. */
  backward<T>(body: () => T): T {
    this.#isBackward = this.#observer !== null
    try {
      return body()
    } finally {
      this.#isBackward = false
    }
  }

  /** Runs what the observer does, of which it is not told. */
  #apart<T>(observer: Observer, body: () => T): T {
    this.#observer = null
    try {
      return body()
    } finally {
      this.#observer = observer
    }
  }
}
