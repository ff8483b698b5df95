// Tells the garbage collector what storages weigh. It counts JavaScript's arrays and sees no GPU
// buffers: without this, gigabytes of tensors that nothing holds look like a few small objects, and
// it has no reason to run.

const SHARE = 16 // of a large storage's bytes: V8 collects after some 64 MB of new arrays
const SMALL_SHARE = 4 // of small ones' bytes: there are many of them, each with objects of its own
const GROUP = 1 << 16 // bytes of small storages that share one array
const SMALLEST = 256 // bytes of the smallest buffer

/** Makes the arrays that storages hold as long as they have memory. */
export class Pressure {
  #shared: ArrayBuffer | null = null
  #room = 0 // bytes of further storages that may share it

  /** An array of a share of `bytes`, never touched. Storages below 64 KiB share one, which lives
   *  as long as any of them. Null where there is no room for it. */
  of(bytes: number): ArrayBuffer | null {
    if (bytes >= GROUP) return untouched(bytes / SHARE)
    const weight = Math.max(SMALLEST, bytes)
    if (weight > this.#room) {
      this.#shared = untouched(GROUP / SMALL_SHARE)
      this.#room = GROUP
    }
    this.#room -= weight
    return this.#shared
  }
}

function untouched(bytes: number): ArrayBuffer | null {
  try {
    return new ArrayBuffer(Math.ceil(bytes))
  } catch {
    return null // no room for it: it is a hint
  }
}
