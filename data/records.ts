// Holds records of one size: in memory, in a file, or in both while a cache is being written.

import type { FileHandle } from 'node:fs/promises'
import { reasonOf } from '../kernels/reason-of.ts'
import { DataError } from './dataset.ts'

interface RecordsOptions {
  readonly handle: FileHandle | null
  /** Most bytes of records to hold in memory; by default 1 GiB. */
  readonly limit?: number | undefined
}

export class Records {
  readonly record: number
  readonly count: number
  #memory: Uint8Array<ArrayBuffer> | null
  #handle: FileHandle | null

  /** Makes room for `count` records of `record` bytes. They are held in memory when they take at
   *  most `limit` bytes, or there is no file. Owns the handle. Throws DataError when memory does
   *  not suffice. */
  constructor(record: number, count: number, { handle, limit = 2 ** 30 }: RecordsOptions) {
    this.record = record
    this.count = count
    this.#handle = handle
    this.#memory = handle && record * count > limit ? null : allocate(record * count)
  }

  /** Reads the file into memory and closes it, where the records are held in memory. */
  async load() {
    if (!this.#memory || !this.#handle) return
    await readWhole(this.#handle, this.#memory, 0)
    await this.release()
  }

  /** Writes the next record. Calls must be awaited and come in the order of `slot`. Returns the
   *  reason when the file fails: from then on the records are held in memory alone. Else returns
   *  null. */
  async put(slot: number, bytes: Uint8Array): Promise<string | null> {
    this.#memory?.set(bytes, slot * this.record)
    const handle = this.#handle
    if (!handle) return null
    try {
      const { bytesWritten } = await handle.write(bytes, 0, bytes.length, slot * this.record)
      if (bytesWritten === bytes.length) return null
      throw new Error('the disk is full')
    } catch (error) {
      if (!this.#memory) {
        this.#memory = allocate(this.record * this.count)
        await readWhole(handle, this.#memory.subarray(0, slot * this.record), 0)
        this.#memory.set(bytes, slot * this.record)
      }
      await this.release()
      return reasonOf(error)
    }
  }

  /** Tells whether the records are held in memory, so that no file is needed. */
  inMemory() {
    return this.#memory !== null
  }

  /** Copies the records at `slots` into `out`, one behind the other: of each the `length` bytes
   *  from `from` on, by default all. Throws DataError when the file is closed or cut short. */
  async read(
    slots: ArrayLike<number>,
    out: Uint8Array,
    {
      from: first = 0,
      length = this.record,
    }: { readonly from?: number; readonly length?: number } = {},
  ): Promise<void> {
    const { record } = this
    const [memory, handle] = [this.#memory, this.#handle]
    if (memory)
      for (let n = 0; n < slots.length; n++) {
        const from = Number(slots[n]) * record + first
        out.set(memory.subarray(from, from + length), n * length)
      }
    else if (handle)
      await Promise.all(
        Array.from(slots, (slot, n) =>
          readWhole(handle, out.subarray(n * length, (n + 1) * length), slot * record + first),
        ),
      )
    else throw new DataError('folder: the images have been closed')
  }

  /** Closes the file. */
  async release() {
    const handle = this.#handle
    this.#handle = null
    await handle?.close()
  }
}

function allocate(bytes: number) {
  try {
    return new Uint8Array(bytes)
  } catch (cause) {
    const size = (bytes / 2 ** 30).toFixed(1)
    throw new DataError(
      `folder: the decoded images need ${size} GiB, too much for memory; ` +
        `free disk space or put the cache elsewhere`,
      { cause },
    )
  }
}

/** Fills `out` from the file. Throws DataError when the file ends too early. */
export async function readWhole(handle: FileHandle, out: Uint8Array, position: number) {
  for (let done = 0; done < out.length;) {
    // one read returns at most 2 GiB
    const length = Math.min(out.length - done, 2 ** 30)
    const { bytesRead } = await handle.read(out, done, length, position + done)
    if (bytesRead === 0)
      throw new DataError(
        `folder: the cache ends at byte ${position + done}; delete it and open again`,
      )
    done += bytesRead
  }
}
