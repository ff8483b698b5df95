// Brings the bytes of a picture to the GPU, a strip of rows at a time, through one small buffer.
// What a page draws goes through a texture, without JavaScript seeing a pixel; where the picture is
// wider than textures are, through a canvas. With a budget, the bytes wait for their turn behind
// what reads the strip before.

import { DataError } from '../data/dataset.ts'
import { partsOf } from '../engine/assemble.ts'
import { bindingOf } from '../engine/memory.ts'
import { wholeWords } from '../engine/values.ts'
import type { Gpu } from '../engine/gpu.ts'
import { type Variable, sizeOf } from '../kernels/op.ts'
import type { PixelRows } from '../kernels/resample/passes.ts'
import { DrawnRows } from './drawn-rows.ts'
import type { Drawable } from './page-image.ts'

/** A picture that can be read: bytes, or one that can be drawn. */
export type Readable = Bytes | (Drawable & { readonly image: Drawable })

interface Bytes extends Drawable {
  readonly bytes: Uint8Array
  readonly channels: 3 | 4
}

/** A part of a picture, in pixels. */
export interface Part extends Drawable {
  readonly left: number
  readonly top: number
}

/** A strip on the GPU, and the column of the picture that it begins with. */
export interface Strip extends PixelRows {
  readonly left: number
}

const MOST = 16 * 2 ** 20 // bytes of a strip of more than one row
const MOST_WAITING = 4 * MOST // bytes that wait for their turn

/** Reads strips of pictures. */
export class Strips {
  readonly #gpu: Gpu
  readonly #drawn: DrawnRows
  #staged: Variable | null = null
  #waiting = 0 // bytes

  constructor(gpu: Gpu) {
    this.#gpu = gpu
    this.#drawn = new DrawnRows(gpu.device)
  }

  /** Calls `take` with each strip of a part of a picture, and the number of its first row within
   *  the part. Throws DataError for a picture that may not be read, or is too wide. */
  read(name: string, picture: Readable, part: Part, take: (strip: Strip, row: number) => void) {
    const raw = 'bytes' in picture ? picture : null
    const channels = raw?.channels ?? 4
    const pitch = raw ? raw.width * channels : Math.ceil(part.width / 64) * 256 // a texture's rows
    const most = Math.max(1, Math.floor(MOST / pitch))
    for (let row = 0; row < part.height; row += most) {
      const rows = Math.min(most, part.height - row)
      const bytes = this.#space(name, rows * pitch)
      const strip = { ...part, top: part.top + row, height: rows }
      this.#bring(name, picture, strip, { bytes, pitch })
      const left = raw ? 0 : part.left
      this.#gpu.noGrad(() => take({ bytes, channels, rows, pitch, left }, row))
    }
  }

  /** Gives the memory back. */
  free() {
    this.#drawn.free()
    if (this.#staged) this.#gpu.free(this.#staged)
    this.#staged = null
  }

  /** Brings a strip to a variable, rows `pitch` bytes apart, in its turn. */
  #bring(
    name: string,
    picture: Readable,
    strip: Part,
    { bytes, pitch }: { readonly bytes: Variable; readonly pitch: number },
  ) {
    const { commands, tensors } = partsOf(this.#gpu)
    const { submissions } = commands
    const count = strip.height * pitch
    commands.flush() // what reads the strip before
    if (this.#waiting + count > MOST_WAITING) commands.finish()
    const { block, offset } = bindingOf(tensors.storage(bytes))
    const { buffer } = block
    const inTurn = (write: () => void) => submissions.call(() => commands.guard(write))
    commands.guard(() => {
      if ('image' in picture)
        this.#drawn.copy(name, picture.image, strip, {
          ...{ buffer, offset, bytesPerRow: pitch, inTurn },
        })
      else {
        const from = strip.top * pitch
        submissions.write(buffer, offset, inWords(picture.bytes.subarray(from, from + count)))
      }
    })
    this.#waiting += count
    submissions.call(() => (this.#waiting -= count))
  }

  #space(name: string, count: number): Variable {
    const most = this.#gpu.device.limits.maxStorageBufferBindingSize
    if (count > most)
      throw new DataError(`${name}: a row of it has ${count} bytes, and this device binds ${most}`)
    if (this.#staged && sizeOf(this.#staged.shape) >= count) return this.#staged
    if (this.#staged) this.#gpu.free(this.#staged)
    return (this.#staged = this.#gpu.variable(new Uint8Array(Math.ceil(count / 4) * 4)))
  }
}

/** Copies bytes, and pads them to whole words. */
function inWords(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  const words = new Uint8Array(wholeWords(bytes.length))
  words.set(bytes)
  return words
}
