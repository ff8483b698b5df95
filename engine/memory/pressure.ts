// Tells the garbage collector how large storages are. It counts JavaScript's arrays and sees no GPU
// buffers. Without this, gigabytes of unreferenced tensors look like a few small objects, and it
// has no reason to run.

const SHARE = 16 // divides a large storage's bytes: V8 collects after some 64 MB of new arrays
const SMALL_SHARE = 4 // divides small ones' bytes: they are many, each with objects of its own
const GROUP = 1 << 16 // bytes of small storages that share one array
const SMALLEST = 256 // bytes of the smallest buffer

/** Makes the arrays that storages refer to while they have memory. */
export class Pressure {
  #shared: ArrayBuffer | null = null
  #room = 0 // bytes of further storages that may share it

  /** Returns an array of a share of `bytes`, which is never written. Storages below 64 KiB share
   *  one, which lives as long as any of them. Returns null if it cannot be allocated. */
  of(bytes: number): ArrayBuffer | null {
    if (bytes >= GROUP) return unwritten(bytes / SHARE)
    const weight = Math.max(SMALLEST, bytes)
    if (weight > this.#room) {
      this.#shared = unwritten(GROUP / SMALL_SHARE)
      this.#room = GROUP
    }
    this.#room -= weight
    return this.#shared
  }
}

function unwritten(bytes: number): ArrayBuffer | null {
  try {
    return new ArrayBuffer(Math.ceil(bytes))
  } catch {
    return null // it is only a hint
  }
}
