// A Gpu can be used until its device is lost or it is destroyed, whichever comes first. A device
// may outlive any number of Gpus, so it must not keep them alive: it has one handler for all of
// them, which refers to them weakly.

import { DeviceLostError } from './errors.ts'

type Listeners = Set<WeakRef<Lifetime>>

const listening = new WeakMap<GPUDevice, Listeners>()
const collected = new FinalizationRegistry<() => void>((drop) => drop())

/** Knows whether a Gpu can still be used, and why not. */
export class Lifetime {
  readonly #forget: () => void
  #end: DeviceLostError | null = null

  /** Destroys the device at the latest when this object is collected, if it `owns` the device. */
  constructor(device: GPUDevice, owns: boolean) {
    const listeners = listening.get(device) ?? listenTo(device)
    const self = new WeakRef(this)
    const forget = () => void listeners.delete(self)
    listeners.add(self)
    this.#forget = forget
    const drop = () => {
      forget()
      if (owns) device.destroy() // else Dawn keeps it: 11 MB on lavapipe
    }
    collected.register(this, drop, this)
  }

  /** Throws the DeviceLostError if the Gpu cannot be used any more. */
  check() {
    if (this.#end) throw this.#end
  }

  /** Ends the Gpu's use. The first reason counts. */
  end(reason: string) {
    this.#end ??= new DeviceLostError(reason)
    collected.unregister(this)
    this.#forget()
  }
}

function listenTo(device: GPUDevice): Listeners {
  const listeners: Listeners = new Set()
  listening.set(device, listeners)
  void device.lost.then(({ reason, message }) => {
    const reported = `the GPU device was lost (${reason}): ${message || 'no reason given'}`
    if (listening.get(device) === listeners) listening.delete(device) // for later Gpus
    for (const listener of listeners) listener.deref()?.end(reported)
  })
  return listeners
}
