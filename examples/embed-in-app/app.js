// The app: its device, its frames, and a training beside them. One step is begun in each frame, so
// that training waits while the page is hidden.

import { openScene } from './scene.js'
import { openTraining } from './training.js'

const at = (id) => document.getElementById(id)
const REFRESH = 4 // steps from one look at the places to the next

/** Shows why there is nothing to see. */
function fail(words) {
  at('scene').hidden = true
  at('message').hidden = false
  at('message').textContent = words
  at('pause').disabled = true
}

/** The app's own device, with default limits and no feature. */
async function openDevice() {
  if (!navigator.gpu)
    throw new Error(
      'This browser has no WebGPU. Current versions of Chrome, Edge, Safari and Firefox have it.',
    )
  const adapter = await navigator.gpu.requestAdapter({ powerPreference: 'high-performance' })
  if (!adapter)
    throw new Error('This browser found no GPU. Switch on hardware acceleration in its settings.')
  return { device: await adapter.requestDevice(), small: adapter.info?.isFallbackAdapter ?? false }
}

const nextFrame = () => new Promise((resolve) => requestAnimationFrame(resolve))

async function run() {
  const { device, small } = await openDevice()
  const state = { paused: false, lost: false }
  void device.lost.then(({ message }) => {
    state.lost = true
    fail(`The GPU is gone (${message || 'no reason given'}). Reload the page to begin again.`)
  })
  // a software GPU computes and draws on the CPU
  const settings = small
    ? { count: 96, size: 16, width: 2, batch: 16 }
    : { count: 1500, size: 32, width: 16, batch: 128 }
  const training = await openTraining(device, settings)
  const { gpu, set, places } = training
  training.place()
  const draw = openScene(device, at('scene'), {
    ...settings,
    places: gpu.bufferOf(places), // both are variables: they stay where they are
    pixels: gpu.bufferOf(set),
  })

  at('pause').disabled = false
  at('pause').addEventListener('click', () => {
    state.paused = !state.paused
    at('pause').setAttribute('aria-pressed', String(state.paused))
    at('pause').textContent = state.paused ? 'Go on training' : 'Pause training'
  })

  const train = async () => {
    for (let step = 1; ; step++) {
      do await nextFrame()
      while (state.paused)
      const loss = await training.step()
      if (step % REFRESH === 0) training.place()
      at('step').textContent = String(step)
      at('loss').textContent = loss.toFixed(3)
    }
  }
  train().catch((error) => {
    if (error.name !== 'DeviceLostError') fail(error.message) // device.lost tells of that
  })

  let [frames, since] = [0, performance.now()]
  while (!state.lost) {
    const now = await nextFrame()
    draw(matchMedia('(prefers-reduced-motion: reduce)').matches ? 0 : now)
    frames++
    if (now - since < 1000) continue
    at('rate').textContent = ((1000 * frames) / (now - since)).toFixed(0)
    ;[frames, since] = [0, now]
  }
}

run().catch((error) => fail(error.message))
