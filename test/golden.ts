// Reference tensors computed by PyTorch and the methods' original code: test/golden/cases.json says what each case is
// and how closely every expected tensor must be met.

import { readFileSync } from 'node:fs'
import * as assert from 'uvu/assert'
import { type Shape, type Tensor, sizeOf } from '../kernels/op.ts'
import { type SavedTensor, decodeSafetensors } from '../engine/safetensors.ts'
import type { Gpu } from '../engine/gpu.ts'

/** How closely a tensor must be met. */
export interface Bound {
  readonly exact?: boolean
  readonly max_abs?: number
  readonly rel_l2?: number
  readonly elem_rel?: number
}

interface Recipe {
  readonly name: string
  readonly shape: Shape
  readonly seed: number
  readonly lo: number
  readonly hi: number
}

interface Case {
  readonly name: string
  readonly file: string
  readonly family: string
  readonly config: Readonly<Record<string, unknown>>
  readonly expect: Readonly<Record<string, Bound>>
  readonly grad_norm_order?: readonly string[]
  readonly after_norm_order?: readonly string[]
  readonly recipe?: readonly Recipe[]
  readonly recipe_inputs?: readonly Recipe[]
}

const folder = 'test/golden/' // tests run from the project's root

/** Every case, or those whose name begins with one of the prefixes. */
export function goldenNames(...prefixes: string[]): string[] {
  return cases()
    .map((c) => c.name)
    .filter((name) => prefixes.length === 0 || prefixes.some((p) => name.startsWith(p)))
}

/** A golden case by name: its tensors, its config and its judge. */
export class Golden {
  readonly name: string
  readonly config: Readonly<Record<string, unknown>>
  readonly #case: Case
  readonly #tensors: Map<string, SavedTensor>
  readonly #met = new Set<string>()
  readonly #judge: (bound: Bound, name: string) => Bound

  /** `judge` makes of what the case states what another precision than f32 must meet. */
  constructor(name: string, judge: (bound: Bound, name: string) => Bound = (bound) => bound) {
    this.#judge = judge
    const found = cases().find((c) => c.name === name)
    if (!found) throw new Error(`golden: no case ${name}`)
    this.name = name
    this.config = found.config
    this.#case = found
    this.#tensors = new Map(decodeSafetensors(readFileSync(folder + found.file), found.file).tensors)
    for (const recipe of [...(found.recipe ?? []), ...(found.recipe_inputs ?? [])])
      this.#tensors.set(recipe.name, grown(recipe))
  }

  /** The names that the entries of a list of norms stand for. */
  order(key: 'grad_norm_order' | 'after_norm_order'): readonly string[] {
    return this.#case[key] ?? []
  }

  get names(): string[] {
    return [...this.#tensors.keys()]
  }

  has(name: string): boolean {
    return this.#tensors.has(name)
  }

  shape(name: string): Shape {
    return this.#saved(name).shape
  }

  /** Values as plain numbers, in the file's own layout. */
  values(name: string): Float32Array {
    const { data } = this.#saved(name)
    return data instanceof Float32Array ? data : Float32Array.from(data, Number)
  }

  /** A tensor as the file has it. */
  tensor(gpu: Gpu, name: string): Tensor {
    return gpu.tensor(this.values(name), this.shape(name))
  }

  /** Labels or indices, i32. */
  indices(gpu: Gpu, name: string): Tensor {
    return gpu.tensor(Int32Array.from(this.values(name)), this.shape(name))
  }

  /** Images [N, C, H, W] in the file as [N, H, W, C]. */
  images(gpu: Gpu, name: string): Tensor {
    const { values, shape } = toNHWC(this.values(name), this.shape(name))
    return gpu.tensor(values, shape)
  }

  /** A convolution's weight [O, I, H, W] in the file as [H, W, I, O]. */
  kernel(gpu: Gpu, name: string): Tensor {
    const { values, shape } = toHWIO(this.values(name), this.shape(name))
    return gpu.tensor(values, shape)
  }

  /** Asserts that `got`, in the file's layout, meets the tolerance for `name`. */
  expect(name: string, got: ArrayLike<number>) {
    const stated = this.#case.expect[name]
    if (!stated) throw new Error(`${this.name}: nothing is expected of ${name}`)
    const bound = this.#judge(stated, name)
    this.#met.add(name)
    const want = this.values(name)
    assert.is(got.length, want.length, `${this.name} ${name}: count`)
    let [square, norm] = [0, 0]
    for (let i = 0; i < want.length; i++) {
      const [g, w] = [got[i] ?? NaN, want[i] ?? NaN]
      const error = Math.abs(g - w)
      const told = `${this.name} ${name}[${i}]: got ${g}, expected ${w}, off by ${error}`
      if (bound.exact) assert.is(g, w, told)
      if (bound.max_abs !== undefined) assert.ok(error <= bound.max_abs, `${told}, allowed ${bound.max_abs}`)
      if (bound.elem_rel !== undefined && w !== 0)
        assert.ok(error <= bound.elem_rel * Math.abs(w), `${told}, allowed ${bound.elem_rel} of it`)
      square += error * error
      norm += w * w
    }
    if (bound.rel_l2 !== undefined) {
      const relative = Math.sqrt(square) / Math.sqrt(norm)
      assert.ok(
        square === 0 || relative <= bound.rel_l2,
        `${this.name} ${name}: relative L2 error ${relative}, allowed ${bound.rel_l2}`,
      )
    }
  }

  /** Whether the case states a tolerance for `name`; what it does not may be noise. */
  expects(name: string): boolean {
    return name in this.#case.expect
  }

  /** Asserts a GPU tensor in the file's own layout. */
  async match(gpu: Gpu, name: string, got: Tensor | undefined) {
    assert.ok(got, `${this.name}: nothing was computed for ${name}`)
    if (got) this.expect(name, await gpu.read(got))
  }

  /** Asserts images [N, H, W, C] against [N, C, H, W] in the file. */
  async matchImages(gpu: Gpu, name: string, got: Tensor | undefined) {
    assert.ok(got, `${this.name}: nothing was computed for ${name}`)
    if (got) this.expect(name, toNCHW(await gpu.read(got), got.shape).values)
  }

  /** Asserts a convolution's weight or its gradient [H, W, I, O] against [O, I, H, W] in the file. */
  async matchKernel(gpu: Gpu, name: string, got: Tensor | undefined) {
    assert.ok(got, `${this.name}: nothing was computed for ${name}`)
    if (got) this.expect(name, toOIHW(await gpu.read(got), got.shape).values)
  }

  /** Asserts that everything the case expects was compared, so that no tensor slips through unseen. */
  done() {
    const missed = Object.keys(this.#case.expect).filter((name) => !this.#met.has(name))
    assert.equal(missed, [], `${this.name}: expected but never compared`)
  }

  #saved(name: string): SavedTensor {
    const saved = this.#tensors.get(name)
    if (!saved) throw new Error(`${this.name}: no tensor ${name}`)
    return saved
  }
}

let loaded: Case[] | null = null
const cases = () => (loaded ??= JSON.parse(readFileSync(`${folder}cases.json`, 'utf8')) as Case[]) // our own file

/** Weights too large to store, from their integer recipe (test/golden/README.md). */
function grown({ shape, seed, lo, hi }: Recipe): SavedTensor {
  const data = new Float32Array(sizeOf(shape))
  for (let i = 0; i < data.length; i++) data[i] = lo + (hi - lo) * ((recipeBits(seed, i) >>> 8) * 2 ** -24)
  return { shape, data }
}

function recipeBits(seed: number, i: number): number {
  let x = (Math.imul(i, 0x9e3779b1) + Math.imul(seed, 0x85ebca77)) >>> 0
  x = Math.imul(x ^ (x >>> 16), 0x7feb352d) >>> 0
  x = Math.imul(x ^ (x >>> 15), 0x846ca68b) >>> 0
  return (x ^ (x >>> 16)) >>> 0
}

/** Moves the axes of a 4-d array: axis i of the result is axis order[i] of the source. */
export function permuted(
  values: Float32Array,
  shape: Shape,
  order: readonly [number, number, number, number],
) {
  const strides = shape.map((_, i) => sizeOf(shape.slice(i + 1)))
  const size = (i: 0 | 1 | 2 | 3) => shape[order[i]] ?? 1
  const step = (i: 0 | 1 | 2 | 3) => strides[order[i]] ?? 1
  const out = new Float32Array(values.length)
  let at = 0
  for (let a = 0; a < size(0); a++)
    for (let b = 0; b < size(1); b++)
      for (let c = 0; c < size(2); c++)
        for (let d = 0; d < size(3); d++)
          out[at++] = values[a * step(0) + b * step(1) + c * step(2) + d * step(3)] ?? NaN
  return { values: out, shape: [size(0), size(1), size(2), size(3)] }
}

export const toNHWC = (values: Float32Array, shape: Shape) => permuted(values, shape, [0, 2, 3, 1])
export const toNCHW = (values: Float32Array, shape: Shape) => permuted(values, shape, [0, 3, 1, 2])
export const toHWIO = (values: Float32Array, shape: Shape) => permuted(values, shape, [2, 3, 1, 0])
export const toOIHW = (values: Float32Array, shape: Shape) => permuted(values, shape, [3, 2, 0, 1])
