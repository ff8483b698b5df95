// The example of an app that renders while Kindred trains on its device.

import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import type { Page } from 'playwright-core'
import sharp from 'sharp'
import * as assert from 'uvu/assert'
import { pageSuite } from '../fixtures/page-suite.ts'

const test = pageSuite('embed-in-app')

const script = pathToFileURL(resolve('examples/embed-in-app/build.js')).href
const { buildApp } = (await import(script)) as { buildApp: (folder: string) => Promise<void> } // as it says

const folder = mkdtempSync(join(tmpdir(), 'kindred-embed-'))
await buildApp(folder)
process.on('exit', () => {
  rmSync(folder, { recursive: true })
})

/** The app's page beside an empty one, in which a test can prepare it. */
const texts = {
  '/index.html': '<!doctype html><link rel="icon" href="data:,">',
  '/app.html': readFileSync(join(folder, 'index.html'), 'utf8'),
}

/** The last step that the page shows; 0 before the first. */
const stepOf = async (page: Page) => Number((await page.textContent('#step')) ?? 0) || 0

/** Waits until the page has trained so many steps. */
async function until(page: Page, step: number) {
  while ((await stepOf(page)) < step) {
    assert.is(await page.textContent('#message'), '')
    await page.waitForTimeout(100)
  }
}

/** The pixels of the scene, whose camera stands still where motion is reduced. */
async function seen(page: Page): Promise<Buffer> {
  const image = await page.locator('#scene').screenshot()
  return sharp(image).removeAlpha().raw().toBuffer()
}

/** The share of the pixels that differ by more than a little. */
function changed(a: Buffer, b: Buffer): number {
  assert.is(a.length, b.length)
  return a.filter((value, i) => Math.abs(value - (b[i] ?? 0)) > 24).length / a.length
}

test('it draws and trains on one device, can pause, and tells of a lost device', async ({
  open,
}) => {
  const { page, site, complaints } = await open(folder, texts)
  page.setDefaultTimeout(90_000) // it compiles on the CPU
  await page.emulateMedia({ reducedMotion: 'reduce' })
  await page.setViewportSize({ width: 400, height: 600 }) // a software GPU draws it
  await page.addInitScript(() => {
    const { prototype } = globalThis.GPUAdapter
    const { requestDevice } = prototype
    prototype.requestDevice = async function request(this: GPUAdapter, ...given) {
      const device = await requestDevice.apply(this, given)
      Object.assign(globalThis, { device })
      return device
    }
  })
  await page.goto(`${site.url}/app.html`)
  await until(page, 1)
  const before = await seen(page)
  const { channels } = await sharp(before, {
    raw: { width: before.length / 3, height: 1, channels: 3 },
  }).stats()
  assert.ok(
    channels.every(({ stdev }) => stdev > 8),
    'pictures are drawn',
  )
  // the pictures move as they are trained, up to step 40
  while (changed(before, await seen(page)) < 0.01) assert.ok((await stepOf(page)) < 40)
  assert.match((await page.textContent('#loss')) ?? '', /^\d\.\d{3}$/)
  await page.click('#pause')
  const paused = await stepOf(page)
  await page.waitForTimeout(2500)
  assert.ok((await stepOf(page)) <= paused + 1, 'the step under way ends, and no other begins')
  await page.click('#pause')
  await until(page, paused + 2)
  await page.evaluate(() => {
    ;(globalThis as unknown as { device: GPUDevice }).device.destroy()
  })
  await page.waitForSelector('#message:not([hidden])')
  assert.match((await page.textContent('#message')) ?? '', /^The GPU is gone .* Reload the page/)
  assert.equal(complaints, [])
})

test('without WebGPU it says so', async ({ open }) => {
  const { page, site, complaints } = await open(folder, texts)
  await page.addInitScript(() => {
    Object.defineProperty(navigator, 'gpu', { value: undefined })
  })
  await page.goto(`${site.url}/app.html`)
  await page.waitForSelector('#message:not([hidden])')
  assert.match((await page.textContent('#message')) ?? '', /^This browser has no WebGPU\./)
  assert.equal(complaints, [])
})

test.run()
