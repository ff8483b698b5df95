// Resizes pictures into images of a set on the GPU, one picture at a time. A picture's bytes come
// strip by strip, so that one of 200 megapixels needs no more memory than another.

import { type Shape, type Variable, sizeOf } from '../kernels/op.ts'
import { weightsOf, type Weights } from '../kernels/resample/filters.ts'
import { type Fit, fitted } from '../kernels/resample/fit.ts'
import { alongRowsOf, downColumnsOf } from '../kernels/resample/passes.ts'
import { DataError } from '../data/dataset.ts'
import type { Gpu } from '../engine/gpu.ts'
import { type Readable, Strips } from './strips.ts'

/** Resizes pictures. Its memory grows to what the largest needed, and is given back by `free`. */
export class Resizer {
  readonly #gpu: Gpu
  readonly #size: number
  readonly #fit: Fit
  readonly #strips: Strips
  #narrow: Variable | null = null

  /** Makes images of `size` pixels squared. */
  constructor(gpu: Gpu, size: number, fit: Fit) {
    this.#gpu = gpu
    this.#size = size
    this.#fit = fit
    this.#strips = new Strips(gpu)
  }

  /** Resizes a picture into image `at` of `set`, u8 [N, size, size, 3]. Throws DataError where it
   *  has too many rows for this device, or may not be read. */
  resize(name: string, picture: Readable, set: Variable, at: number) {
    const { width, height } = picture
    const size = this.#size
    const { x, y } = fitted({ width, height }, { width: size, height: size }, this.#fit)
    const across = weightsOf(width, x.from, size, x.to)
    const down = weightsOf(height, y.from, size, y.to)
    const [left, right] = reach(across)
    const [top, bottom] = reach(down)
    const narrow = this.#space(name, (bottom - top) * size * 4)
    const part = { left, top, width: right - left, height: bottom - top }
    const { run } = this.#gpu
    this.#strips.read(name, picture, part, (strip, firstRow) => {
      const { kernel, dispatch } = alongRowsOf(run, strip, shifted(across, strip.left), firstRow)
      run(kernel, { ...dispatch, updates: [narrow] })
    })
    this.#gpu.noGrad(() => {
      const pictures = { narrow, N: 1, rows: bottom - top, width: size }
      const into = { size: set.shape[0] ?? 0, at }
      const { kernel, dispatch } = downColumnsOf(run, pictures, shifted(down, top), into)
      run(kernel, { ...dispatch, updates: [set] })
    })
  }

  /** Gives the memory back. */
  free() {
    this.#strips.free()
    if (this.#narrow) this.#gpu.free(this.#narrow)
    this.#narrow = null
  }

  /** Returns space for the pictures between the passes, `count` numbers or more. */
  #space(name: string, count: number): Variable {
    const most = this.#gpu.device.limits.maxStorageBufferBindingSize
    if (count * 4 > most)
      throw new DataError(
        `${name}: ${count / this.#size / 4} rows of it are needed at ${this.#size} pixels, ${count * 4} bytes, and this device binds at most ${most}; give a smaller size`,
      )
    if (this.#narrow && sizeOf(this.#narrow.shape) >= count) return this.#narrow
    if (this.#narrow) this.#gpu.free(this.#narrow)
    return (this.#narrow = empty(this.#gpu, [count]))
  }
}

const empty = (gpu: Gpu, shape: Shape) => gpu.variable(new Float32Array(sizeOf(shape)), shape)

/** The first pixel that has a weight, and the one behind the last. */
function reach({ starts, weights, taps }: Weights): readonly [number, number] {
  let [first, end] = [Infinity, 0]
  for (const [i, weight] of weights.entries()) {
    const at = (starts[Math.floor(i / taps)] ?? 0) + (i % taps)
    if (weight === 0) continue
    first = Math.min(first, at)
    end = Math.max(end, at + 1)
  }
  return [first, end]
}

/** Weights of a line that begins at pixel `by`. */
const shifted = ({ starts, ...rest }: Weights, by: number): Weights => ({
  ...rest,
  starts: starts.map((start) => Math.max(0, start - by)),
})
