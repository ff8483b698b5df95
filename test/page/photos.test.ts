// The photo page in headless Chromium, by its own buttons, at tiny settings.

import type { Page, Worker } from 'playwright-core'
import * as assert from 'uvu/assert'
import type { SafetensorsFile } from '../../engine/safetensors.ts'
import { pageSuite } from '../fixtures/page-suite.ts'
import { builtPhotoPage, savedTraining, untilStatus } from '../fixtures/photo-page.ts'

const test = pageSuite('the photo page')

const TINY = '?pictures=64&test=20&source=32&width=4&batch=16&steps=12'

const built = builtPhotoPage()

/** The losses of a saved training by step. */
function lossesIn({ metadata }: SafetensorsFile): Map<number, number> {
  const { metrics } = JSON.parse(metadata['photos.run'] ?? '') as {
    readonly metrics: readonly { readonly step: number; readonly loss?: number }[]
  }
  return new Map(metrics.flatMap(({ step, loss }) => (loss === undefined ? [] : [[step, loss]])))
}

/** Keeps the next devices of the page's workers, so that a test can destroy them. */
async function keepDevices(page: Page): Promise<readonly Worker[]> {
  const workers = page.workers()
  for (const worker of workers)
    await worker.evaluate(() => {
      const ask = GPUAdapter.prototype.requestDevice
      GPUAdapter.prototype.requestDevice = async function request(...options) {
        const device = await ask.apply(this, options)
        Object.assign(globalThis, { device })
        return device
      }
    })
  return workers
}

const destroyDevice = async (workers: readonly Worker[]) => {
  for (const worker of workers)
    await worker.evaluate(() => (globalThis as { readonly device?: GPUDevice }).device?.destroy())
}

const mean = (values: readonly number[]) => values.reduce((a, b) => a + b, 0) / values.length

/** Chooses the built-in set, and begins to train on it. */
async function begin(page: Page) {
  await page.click('#use-built-in')
  await untilStatus(page, /^Ready/)
  await page.click('#train')
}

test('a training that lost its device, paused and was reloaded ends with the bits of one that did not', async ({
  open,
}) => {
  const { folder, headers } = await built
  const { site, page, complaints } = await open(folder, {}, headers)
  await page.goto(`${site.url}/${TINY}`)
  await begin(page)
  await untilStatus(page, /^Finished, after 12 steps/)
  const whole = await savedTraining(page)
  const losses = [...lossesIn(whole).values()]
  assert.is(losses.length, 12)
  assert.ok(mean(losses.slice(-4)) < mean(losses.slice(0, 4)), `the loss falls: ${losses.join()}`)

  await page.reload()
  await page.waitForSelector('#kept button')
  const workers = await keepDevices(page)
  await begin(page)
  await page.click('#ask .primary') // the kept training may be replaced
  await untilStatus(page, /^Step [567] /)
  await destroyDevice(workers)
  await page.waitForSelector('[data-id=lost]')
  const words = (await page.textContent('[data-id=lost]')) ?? ''
  assert.match(words, /lost at step [678].*goes on from its checkpoint of step 5/)
  await untilStatus(page, /^Step [567] /)
  await page.click('#pause')
  await untilStatus(page, /^Paused at step [5-9] of 12. Kept in this browser/)

  await page.reload()
  await page.click('#open-kept')
  await page.click('#go-on')
  await untilStatus(page, /^Finished, after 12 steps/)
  const resumed = await savedTraining(page)
  assert.equal(lossesIn(resumed), lossesIn(whole))
  assert.equal([...resumed.tensors.keys()], [...whole.tensors.keys()])
  for (const [name, { data }] of whole.tensors)
    assert.equal(resumed.tensors.get(name)?.data, data, name)
  assert.equal(complaints, [])
})

test.run()
