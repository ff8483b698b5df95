// How the garbage collector learns what a storage weighs. It counts JavaScript's arrays and sees no GPU buffers: without
// this, gigabytes of tensors that nothing holds look like a few small objects, and it has no reason to run.

const SHARE = 16 // of a storage's bytes: V8 collects after some 64 MB of new arrays
const LEAST = 1 << 16 // bytes of a storage that counts

/** An array of a sixteenth of `bytes`, never touched, to be held as long as these bytes are; null for few. */
export function pressureOf(bytes: number): ArrayBuffer | null {
  if (bytes < LEAST) return null
  try {
    return new ArrayBuffer(Math.ceil(bytes / SHARE))
  } catch {
    return null // no room for it: it is a hint
  }
}
