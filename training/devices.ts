// Goes on with a new device when one is lost: a driver that was reset, a tab that slept, a GPU that
// another program took down.

import { DeviceLostError, quiet } from '../engine/errors.ts'
import type { Gpu } from '../engine/gpu.ts'
import { unlessAborted } from '../kernels/abort.ts'
import { checkValue, onGpu } from '../kernels/options.ts'
import { reasonOf } from '../kernels/reason-of.ts'

/** Opens a Gpu: `openGpu`, or a function of an app that makes one on its device. */
export type OpenGpu = () => Gpu | Promise<Gpu>

/** What is done on a device, and what is told about it. */
export interface OnDevice<T> {
  /** Name of the work in messages. */
  readonly name: string
  readonly open: OpenGpu
  /** Ends the use of a Gpu, whose device may be lost; destroys it by default. */
  readonly close?: ((gpu: Gpu, isLost: boolean) => void) | undefined
  readonly signal?: AbortSignal | undefined
  /** Returns what the work came to, if the signal is aborted when a device is lost. */
  readonly stopped: () => T | Promise<T>
  /** Does the work, or the rest of it. */
  readonly work: (gpu: Gpu) => Promise<T>
  /** Grows whenever some of the work is saved, so that the next device begins later. */
  readonly saved: () => number
  /** Milliseconds before each attempt to open a device after a loss. */
  readonly pauses?: readonly number[]
  /** Receives a line about each lost device. */
  readonly note: (line: string, data: object) => void
}

const MOST = 3 // devices lost in a row without anything saved
const PAUSES = [0, 500, 1000, 2000, 4000] // ms before each attempt

/** Works on a Gpu, and on another one whenever its device is lost, until the work is done or the
 *  signal is aborted. Closes each Gpu. Throws TypeError if `open` gives no Gpu, and Error if three
 *  are lost in a row and nothing more was saved, or no other one can be opened. */
export async function onDevices<T>(on: OnDevice<T>): Promise<T> {
  let gpu = checkedGpu(on.name, await on.open())
  for (let lost = 1, before = NaN; ; lost++) {
    const failed = await attempt(on, gpu)
    if ('result' in failed) return failed.result
    const saved = on.saved()
    if (saved !== before) [lost, before] = [1, saved]
    if (on.signal?.aborted) return on.stopped()
    const { message } = failed.error
    if (lost === MOST)
      throw new Error(
        `${on.name}: ${MOST} devices in a row were lost before its next checkpoint, the last with: ` +
          `${message}; save more often (checkpointEvery), or take a smaller batch`,
        { cause: failed.error },
      )
    on.note(`${message}; going on from the last checkpoint with a new one`, { lost: message })
    const next = await reopened(on, failed.error)
    if (!next) return on.stopped()
    gpu = next
  }
}

const checkedGpu = (name: string, gpu: Gpu): Gpu =>
  checkValue(name, 'what the function that opens a Gpu returns', gpu, onGpu)

const destroy = (gpu: Gpu) => {
  gpu.destroy()
}

/** Does the work on one Gpu. Resolves to its result, or the error of a lost device. */
async function attempt<T>(
  { work, close = destroy }: OnDevice<T>,
  gpu: Gpu,
): Promise<{ readonly result: T } | { readonly error: DeviceLostError }> {
  let result: T
  try {
    result = await work(gpu)
  } catch (error) {
    const loss = await lossOf(gpu, error)
    try {
      close(gpu, loss !== null)
    } catch {
      // the first error counts
    }
    if (!loss) throw error
    return { error: loss }
  }
  close(gpu, false)
  return { result }
}

/** Resolves to the error of the lost device that an error came of, null if the device is there. */
export async function lossOf(gpu: Gpu, error: unknown): Promise<DeviceLostError | null> {
  if (error instanceof DeviceLostError) return error
  try {
    await gpu.check()
    return null
  } catch (other) {
    return other instanceof DeviceLostError ? other : null
  }
}

/** Opens a Gpu after a loss. A driver may need seconds until it has a device again. Resolves to
 *  null as soon as the signal is aborted. */
async function reopened<T>(on: OnDevice<T>, loss: Error): Promise<Gpu | null> {
  const { name, open, close = destroy, signal, pauses = PAUSES } = on
  let cause: unknown = loss
  for (const pause of pauses) {
    const opening = quiet(
      new Promise((resolve) => setTimeout(resolve, pause)).then(() =>
        signal?.aborted ? null : open(),
      ),
    )
    let gpu: Gpu | null
    try {
      gpu = await unlessAborted(signal, opening)
    } catch (error) {
      cause = error
      if (!signal?.aborted) continue
      void quiet(opening.then((late) => late && close(late, false))) // nobody works on it
      return null
    }
    return gpu && checkedGpu(name, gpu)
  }
  const why = reasonOf(cause)
  throw new Error(
    `${name}: its device was lost, and no other could be opened: ${why}; its last checkpoint is ` +
      'intact, train again to go on from there',
    { cause },
  )
}
