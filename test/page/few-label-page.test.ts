// few-labels.html in a browser, on a phone and on a desktop: a table, one curve and band for each
// way of using the labels, and settings whose names stay whole.

import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { fewLabelPage } from '../../cli/few-label-page.ts'
import type { Spread } from '../../cli/few-label-table.ts'
import { arms } from '../../cli/few-label-cells.ts'
import { openBrowser } from '../fixtures/browser.ts'

/** What a reader sees: how far the page is too wide, the lines of each setting's name, the
 *  legend. */
const SEEN = `({
  over: document.documentElement.scrollWidth - innerWidth,
  names: [...document.querySelectorAll('.rows th')].map((element) => {
    const range = document.createRange()
    range.selectNodeContents(element)
    return new Set([...range.getClientRects()].map(({ top }) => Math.round(top))).size
  }),
  legend: [...document.querySelectorAll('.u-legend tr')]
    .filter((row) => row.getBoundingClientRect().height > 0)
    .map((row) => row.querySelector('.u-label').textContent),
  cells: [...document.querySelectorAll('.spreads td')].map((td) => td.textContent),
})`

/** The numbers of the curves, from 1 on, that the legend has switched off. */
const OFF = `[...document.querySelectorAll('.u-legend tr')].flatMap((row, i) =>
  row.classList.contains('u-off') ? i : [])`

const test = suite('few-labels.html')

const rowsOf = (seeds: number): Spread[] =>
  [100, 1000].flatMap((images, i) =>
    arms.map((arm, j) => ({
      ...{ arm, labels: i === 0 ? '1%' : '10%', images, mean: 10 * (j + i + 1) },
      ...{ std: seeds > 1 ? 2.5 : null, rates: arm === 'fine-tuned' ? [0] : [] },
      accuracies: Array<number>(seeds).fill(10 * (j + i + 1)),
    })),
  )

const settings = [
  ['data', `folder:/home/someone/${'a-long-name-without-an-end'.repeat(4)}`],
  ['weightDecay', '0.0001'],
] as const

test('fits a phone, with whole names of settings and a short legend', async () => {
  const browser = await openBrowser()
  try {
    for (const width of [390, 1280]) {
      const page = await browser.newPage({ viewport: { width, height: 800 } })
      const errors: string[] = []
      page.on('pageerror', ({ message }) => errors.push(message))
      await page.setContent(fewLabelPage(rowsOf(3), settings))
      const seen = await page.evaluate(SEEN)
      assert.equal(seen, {
        ...{ over: 0, names: [1, 1], legend: ['labelled images', ...arms] },
        cells: ['10.0', '20.0', '30.0', '20.0', '30.0', '40.0'].map((v) => `${v} ±\u00a02.5`),
      })
      assert.equal(errors, [])
      await page.close()
    }
  } finally {
    await browser.close()
  }
})

test('a curve hidden in the legend takes its band with it', async () => {
  const browser = await openBrowser()
  try {
    const page = await browser.newPage()
    await page.setContent(fewLabelPage(rowsOf(3), settings))
    const off = () => page.evaluate(OFF)
    assert.equal(await off(), [])
    await page.locator('.u-legend th', { hasText: 'linear probe' }).click()
    assert.equal(await off(), [2, 6, 7], 'the second curve and its two edges')
    await page.locator('.u-legend th', { hasText: 'linear probe' }).click()
    assert.equal(await off(), [])
  } finally {
    await browser.close()
  }
})

test('of one seed has no bands and says so', () => {
  const text = fewLabelPage(rowsOf(1), settings)
  assert.match(text, /% of the test images, one seed/)
  assert.not.match(text, /±|"band"|Bands:/)
})

test.run()
