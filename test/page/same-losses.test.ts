// The same code in a page: the first losses of SimCLR in headless Chromium are Node's.

import * as assert from 'uvu/assert'
import * as kindred from '../../index.ts'
import { openGpu } from '../../engine/node.ts'
import { bundled } from '../fixtures/browser.ts'
import { pageSuite } from '../fixtures/page-suite.ts'

const test = pageSuite('the library in a page')

/** Trains a few steps on drawn images and returns the losses. It refers to nothing outside, as its
 *  text runs in the page, too. */
async function firstLosses(
  { Adam, cifarRecipe, parametersOf, projectionHead, resnet8, simclr }: typeof kindred,
  gpu: kindred.Gpu,
): Promise<readonly number[]> {
  const [N, S] = [64, 16]
  const encoder = resnet8(gpu, { width: 2, seed: 1 })
  const head = projectionHead(gpu, { features: encoder.features, hidden: 16, dim: 8, seed: 2 })
  const { step } = simclr(gpu, {
    encoder,
    head,
    optimizer: new Adam(parametersOf({ encoder, head })),
    schedule: 1e-3,
    temperature: 0.5,
    batchNorm: 'per-view',
    views: cifarRecipe(S),
  })
  const losses: number[] = []
  for (let t = 0; t < 10; t++) {
    const drawn = (_: unknown, i: number) => (i * (7 + t) + (i >> 5)) % 256
    const pixels = Uint8Array.from({ length: N * S * S * 3 }, drawn)
    losses.push(await gpu.item(step({ pixels, shape: [N, S, S, 3] })))
  }
  return losses
}

test('the first losses of SimCLR are those of Node', async ({ open }) => {
  const { page, complaints } = await open('dist', {
    '/index.html': '<!doctype html><link rel="icon" href="data:,">',
    '/kindred.js': await bundled(`export * from './dist/index.js'`),
  })
  const found = await page.evaluate(async (body) => {
    const from = '/kindred.js'
    const library = (await import(from)) as typeof kindred // as it is the page's copy of it
    const run = (await import(
      URL.createObjectURL(new Blob([`export default ${body}`], { type: 'text/javascript' }))
    )) as { default: typeof firstLosses } // as its text says
    const gpu = await library.openGpu()
    return await run.default(library, gpu)
  }, firstLosses.toString())
  const gpu = await openGpu()
  const expected = await firstLosses(kindred, gpu)
  gpu.destroy()
  assert.is(found.length, expected.length)
  for (const [t, loss] of expected.entries())
    assert.ok(Math.abs((found[t] ?? NaN) - loss) <= 1e-4, `step ${t}: ${found[t]}, Node ${loss}`)
  assert.equal(complaints, [])
})

test.run()
