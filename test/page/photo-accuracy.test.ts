// The photo page learns: after a training on the built-in set, neighbours are more often of one kind.
// It takes minutes on a software adapter, so only the deep tests run it.

import * as assert from 'uvu/assert'
import { isFull } from '../fixtures/full.ts'
import { pageSuite } from '../fixtures/page-suite.ts'
import { builtPhotoPage, untilStatus } from '../fixtures/photo-page.ts'

const test = pageSuite('accuracy of the photo page', isFull)

const SETTINGS = '?pictures=320&test=300&source=32&side=32&width=4&batch=32&steps=150'
const MORE = 4 // points of kNN accuracy, at least

test('training on the built-in set lifts kNN accuracy above that of the untrained network', async ({
  open,
}) => {
  const { folder, headers } = await builtPhotoPage()
  const { site, page, complaints } = await open(folder, {}, headers)
  await page.goto(`${site.url}/${SETTINGS}`)
  await page.click('#use-built-in')
  await untilStatus(page, /^Ready/)
  await page.click('#train')
  await untilStatus(page, /^Finished, after 150 steps/, 1800)
  const percent = async (id: string) => parseFloat((await page.textContent(id)) ?? '')
  const [untrained, trained] = [
    await percent('#accuracy-untrained'),
    await percent('#accuracy-knn'),
  ]
  assert.ok(trained >= untrained + MORE, `${untrained}% untrained, ${trained}% trained`)
  assert.equal(complaints, [])
})

test.run()
