// Collects images that were made on the GPU in memory of JavaScript, some at a time.

import { partsOf } from '../engine/assemble.ts'
import type { Gpu } from '../engine/gpu.ts'
import type { Variable } from '../kernels/op.ts'
import { mostImagesOf } from './image-room.ts'

const MOST_CHUNK = 32 // images that are read at once

/** Images u8 [N, size, size, 3], whose number is not known before. */
export class Collected {
  readonly #gpu: Gpu
  readonly #bytes: number // of an image
  readonly #most: number // images in the chunk
  readonly #chunk: Variable
  readonly #read: Uint8Array[] = []
  #count = 0 // in the chunk

  constructor(gpu: Gpu, size: number) {
    this.#gpu = gpu
    this.#bytes = size * size * 3
    this.#most = Math.min(MOST_CHUNK, mostImagesOf(gpu, size))
    const shape = [this.#most, size, size, 3] as const
    this.#chunk = gpu.variable(new Uint8Array(this.#most * this.#bytes), shape)
  }

  /** Adds an image, which `write` writes to a place in a set. */
  async add(write: (set: Variable, at: number) => void) {
    write(this.#chunk, this.#count)
    this.#count++
    if (this.#count === this.#most) await this.#flush()
    else await this.#gpu.pace()
  }

  /** All images so far, one behind another. */
  async pixels(): Promise<Uint8Array> {
    await this.#flush()
    const all = new Uint8Array(this.#read.reduce((sum, { length }) => sum + length, 0))
    let at = 0
    for (const part of this.#read) {
      all.set(part, at)
      at += part.length
    }
    return all
  }

  /** Gives the memory on the GPU back. */
  free() {
    this.#gpu.free(this.#chunk)
  }

  async #flush() {
    if (this.#count === 0) return
    const bytes = await partsOf(this.#gpu).reads.exactly(this.#chunk)
    this.#read.push(Uint8Array.from(bytes.subarray(0, this.#count * this.#bytes)))
    this.#count = 0
  }
}
