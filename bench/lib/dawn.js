// A navigator.gpu for libraries that expect a browser.

import { create, globals } from 'webgpu'

/** Puts Dawn where libraries look for WebGPU. `adapter` is a part of the adapter's name. */
export function installNavigator({ adapter }) {
  const gpu = create(adapter ? [`adapter=${adapter}`] : [])
  globalThis.held = gpu // Node crashes when the instance is collected while its device is used
  Object.assign(globalThis, globals)
  const navigator = { gpu, userAgent: 'node', platform: process.platform, hardwareConcurrency: 1 }
  Object.defineProperty(globalThis, 'navigator', { value: navigator, configurable: true })
}
