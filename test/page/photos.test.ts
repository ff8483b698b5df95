// The photo page in headless Chromium, by its own buttons, at tiny settings.

import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import type { Page, Worker } from 'playwright-core'
import * as assert from 'uvu/assert'
import { decodeSafetensors } from '../../engine/safetensors.ts'
import { kindred, metricsOf } from '../fixtures/cli.ts'
import { isFull } from '../fixtures/full.ts'
import { picture } from '../fixtures/images.ts'
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

test('a training goes to a server with its pictures, and one on photos comes from there', async ({
  open,
}) => {
  const dir = await mkdtemp(join(tmpdir(), 'kindred-carried-'))
  const at = (...names: string[]) => join(dir, ...names)
  const ran = async (...args: string[]) => {
    const { code, out, err } = await kindred(...args)
    assert.is(code, 0, err)
    return out
  }
  const { folder, headers } = await built()
  const { site, page, complaints } = await open(folder, {}, headers)
  await page.goto(`${site.url}/${TINY.replace('steps=12', 'steps=4')}`)
  await begin(page)
  await untilStatus(page, /^Finished, after 4 steps/)
  const saved = await savedTraining(page)
  await writeFile(at('page.zip'), await downloaded(page, '#pack'))
  assert.match(
    await ran('import', at('page.zip'), '--out', at('server')),
    /at step 4\n {2}with its images: 64 training and 20 test images, .* as pixels\n/,
  )
  assert.match(
    await ran('train', 'simclr', '--resume', at('server'), '--epochs', '2'),
    /first read from photos\n[^]*done: 8 steps/,
  )
  const lines = metricsOf(at('server')).trim().split('\n')
  const metrics = lines.map((line) => JSON.parse(line) as { step: number; loss?: number })
  const losses = new Map(metrics.flatMap(({ step, loss }) => (loss ? [[step, loss]] : [])))
  assert.equal([...losses.keys()], [1, 2, 3, 4, 5, 6, 7, 8])
  for (const [step, loss] of lossesIn(saved)) assert.is(losses.get(step), loss)

  for (let n = 0; n < 12; n++)
    await picture(at('photos', `${n}.png`), [20 * n, 200 - 9 * n, 60], 20 + 3 * n, 50 - 2 * n)
  await ran(
    ...['train', 'simclr', '--data', `folder:${at('photos')}`, '--preset', 'simclr-demo'],
    ...['--size', '16', '--model', 'resnet8', '--width', '2', '--batch', '4', '--epochs', '1'],
    ...['--out', at('own')],
  )
  await ran('export', at('own'), '--to', at('own.zip'), '--with-images')
  await page.reload()
  await page.waitForSelector('#start:not([hidden])')
  await page.setInputFiles('#open-input', at('own.zip'))
  await untilStatus(page, /^Finished, after 3 steps/)
  assert.is(await page.textContent('#set-title'), '12 pictures')
  await page.click('#longer')
  await page.click('#ask .primary') // the kept training may be replaced
  await untilStatus(page, /^Finished, after 6 steps. Kept in this browser/)
  await page.reload()
  await page.click('#open-kept')
  await untilStatus(page, /^Finished, after 6 steps/)
  await writeFile(at('back.zip'), await downloaded(page, '#save')) // with the images it came with
  await ran('import', at('back.zip'), '--out', at('back'))
  assert.match(
    await ran('train', 'simclr', '--resume', at('back'), '--epochs', '3'),
    /first read from folder:.*photos\n[^]*done: 9 steps/,
  )
  assert.equal(complaints, [])
  await rm(dir, { recursive: true })
})

test.run()
