// The photo page in headless Chromium, by its own buttons, at tiny settings.

import { resolve } from 'node:path'
import type { Page, Worker } from 'playwright-core'
import * as assert from 'uvu/assert'
import { decodeSafetensors } from '../../engine/safetensors.ts'
import { isFull } from '../fixtures/full.ts'
import { pageSuite } from '../fixtures/page-suite.ts'
import {
  builtPhotoPage,
  downloaded,
  drop,
  lossesIn,
  savedTraining,
  untilStatus,
} from '../fixtures/photo-page.ts'

const test = pageSuite('the photo page', isFull) // two minutes on a software adapter

const TINY = '?pictures=64&test=20&source=24&side=24&width=4&batch=16&steps=12'

let building: ReturnType<typeof builtPhotoPage> | null = null
const built = () => (building ??= builtPhotoPage())

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

/** Goes to a picture by keys, then to one of its neighbours. */
async function looksAround(page: Page) {
  await page.focus('#map')
  await page.keyboard.press('ArrowRight')
  await page.waitForSelector('#chosen:not([hidden])')
  assert.is(await page.textContent('#map-said'), 'stripes 1')
  assert.is(await page.locator('#chosen ol').count(), 2)
  assert.is(await page.locator('#chosen li').count(), 16)
  const near = page.locator('#chosen li button').last()
  const [name] = ((await near.getAttribute('aria-label')) ?? '').split(',')
  await near.click()
  assert.is(await page.textContent('#map-said'), name)
  await page.focus('#map')
  await page.keyboard.press('Escape')
  assert.ok(await page.isHidden('#chosen'))
  assert.is(await page.locator('#duplicates li').count(), 8)
  assert.is(await page.locator('#outliers li').count(), 12)
}

test('a training that lost its device, paused and was reloaded ends with the bits of one that did not', async ({
  open,
}) => {
  const { folder, headers } = await built()
  const { site, page, complaints } = await open(folder, {}, headers)
  await page.goto(`${site.url}/${TINY}`)
  await begin(page)
  await untilStatus(page, /^Finished, after 12 steps/)
  const whole = await savedTraining(page)
  const losses = [...lossesIn(whole).values()]
  assert.is(losses.length, 12)
  assert.ok(mean(losses.slice(-4)) < mean(losses.slice(0, 4)), `the loss falls: ${losses.join()}`)

  await looksAround(page)
  const encoder = decodeSafetensors(
    new Uint8Array(await downloaded(page, '#export-safetensors')),
  ).tensors
  assert.ok(encoder.size > 10, `${encoder.size} tensors of the encoder`)
  for (const [name, { data }] of encoder) assert.equal(data, whole.tensors.get(name)?.data, name)
  assert.ok((await downloaded(page, '#export-onnx')).includes('conv1.weight'))

  await page.reload()
  await page.waitForSelector('#kept button')
  const workers = await keepDevices(page)
  await begin(page)
  await page.click('#ask .primary') // the kept training may be replaced
  await untilStatus(page, /^Step [567] /)
  await destroyDevice(workers)
  await page.waitForSelector('[data-id=lost]')
  const words = (await page.textContent('[data-id=lost]')) ?? ''
  assert.match(words, /lost at step [567]: .*goes on from its checkpoint of step 4/)
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

test('MoCo trains a few steps', async ({ open }) => {
  const { folder, headers } = await built()
  const { site, page, complaints } = await open(folder, {}, headers)
  await page.goto(`${site.url}/${TINY.replace('steps=12', 'steps=4')}`)
  await page.click('#use-built-in')
  await untilStatus(page, /^Ready/)
  await page.locator('#setup label', { hasText: 'MoCo' }).click()
  await page.click('#train')
  await untilStatus(page, /^Finished, after 4 steps/)
  const saved = await savedTraining(page)
  const { config } = JSON.parse(saved.metadata['photos.run'] ?? '') as {
    readonly config: { readonly method: string }
  }
  assert.is(config.method, 'moco')
  const losses = [...lossesIn(saved).values()]
  assert.ok(losses.length === 4 && losses.every(Number.isFinite), losses.join())
  assert.equal(complaints, [])
})

test('one training begins, and is not lost without a question where none can be kept', async ({
  open,
}) => {
  const { folder, headers } = await built()
  const { site, page, complaints } = await open(folder, {}, headers)
  await page.goto(`${site.url}/${TINY.replace('steps=12', 'steps=4')}`)
  await page.click('#use-built-in')
  await untilStatus(page, /^Ready/)
  for (const worker of page.workers())
    await worker.evaluate(`FileSystemFileHandle.prototype.createWritable = () =>
      Promise.reject(new DOMException('no room', 'QuotaExceededError'))`)
  await page.evaluate(`
    globalThis.asked = [] // of the workers
    const { postMessage } = Worker.prototype
    Worker.prototype.postMessage = function (message, ...more) {
      asked.push(String(message.path))
      return postMessage.call(this, message, ...more)
    }
    for (const _ of [1, 2]) document.querySelector('#train').click()`)
  await untilStatus(page, /^Finished, after 4 steps.$/)
  assert.equal(
    await page.evaluate(`[...document.querySelectorAll('.notice')].map((n) => n.dataset.id)`),
    ['unsaved'],
  )
  assert.is(await page.evaluate(`asked.filter((name) => name === 'begin').length`), 1)
  const losses = lossesIn(await savedTraining(page))
  assert.equal([...losses.keys()], [1, 2, 3, 4])

  await drop(page, [resolve('docs')])
  const question = (await page.locator('#ask[open]').textContent()) ?? ''
  assert.match(question, /not kept in the browser, and will be lost. Use other pictures\?/)
  await page.click('#ask button:not(.primary)')
  assert.equal(lossesIn(await savedTraining(page)), losses)
  await drop(page, [resolve('docs')])
  await page.click('#ask .primary')
  await untilStatus(page, /^Ready/)
  assert.equal(complaints, [])
})

test.run()
