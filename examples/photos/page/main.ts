// Begins the page.

import { App } from './app.ts'
import { byId } from './elements.ts'
import { showHero } from './hero.ts'
import { notice, wordsOf } from './notices.ts'
import { gpuState } from './webgpu.ts'

async function main() {
  const gpu = await gpuState()
  if (gpu.problem !== null)
    notice(`${gpu.problem} Until then you can look around, but not train.`, 'error', 'no-gpu')
  else if (gpu.isSoftware)
    notice(
      'This browser computes WebGPU on the CPU, which is slow: training begins with small settings.',
      'news',
      'software',
    )
  await new App(gpu).showStart()
  await showHero(byId('hero', HTMLCanvasElement))
}

main().catch((error: unknown) => notice(wordsOf(error), 'error'))
