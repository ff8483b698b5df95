// The runs that a page keeps, on a storage like a browser's. test/page/ drives a real one.

import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { procedural } from '../../data/procedural.ts'
import { removeRun, storeRun, storedRun, storedRuns } from '../../page-runs/stored-runs.ts'
import { createRun } from '../../run-folder/open.ts'
import { MemoryStorage } from '../../training/memory-storage.ts'
import { digestsOf } from '../../training/fingerprint.ts'
import { packRun } from '../../training/pack.ts'
import { sha256 } from '../../training/sha256.ts'
import { unpackRun } from '../../training/unpack.ts'
import { keptRun, runConfig, saveStep } from '../fixtures/kept-run.ts'
import { refusesAsync } from '../fixtures/refusal.ts'
import { bitsOf } from '../fixtures/stored-bits.ts'
import { installDatabase } from '../fixtures/web-database.ts'
import { WebStorage } from '../fixtures/web-storage.ts'

const test = suite<{ web: WebStorage; uninstall: () => void }>('stored runs')
test.before.each((context) => {
  context.web = new WebStorage()
  context.uninstall = context.web.install()
})
test.after.each(({ uninstall }) => uninstall())

const toldBy = (doing: Promise<unknown>) =>
  doing.then(
    () => 'nothing is wrong',
    (error: unknown) => (error instanceof Error ? error.message : 'no Error'),
  )

const stepFile = (step: number) =>
  `kindred/photos/step-${String(step).padStart(8, '0')}.safetensors`

test('a run is kept, and opened again as it was', async ({ web }) => {
  const run = await storedRun('photos', runConfig)
  assert.equal(await run.latest(), { checkpoint: null, damaged: [] })
  for (const step of [2, 4, 6, 8]) await saveStep(run, step, step === 4)
  assert.equal([...web.files.keys()].sort(), [
    ...['kindred/photos/best.json', 'kindred/photos/config.json', 'kindred/photos/metrics.jsonl'],
    ...[4, 6, 8].map(stepFile), // the newest two and the best
  ])
  const [metrics, bits] = [await run.metrics(), await bitsOf(run)]
  await run.close()
  const again = await storedRun('photos')
  assert.equal([again.config, again.run, again.name], [runConfig, 'photos', "the run 'photos'"])
  assert.equal([await again.metrics(), await bitsOf(again)], [metrics, bits])
  assert.is((await again.bestCheckpoint())?.step, 4)
  await again.keepMetrics(({ step }) => step < 5)
  await again.writeConfig({ ...runConfig, epochs: 5 })
  await again.close()
  const later = await storedRun('photos')
  assert.equal(await later.metrics(), metrics.slice(0, 2))
  assert.is(later.config['epochs'], 5)
  await later.close()
})

test('a configuration that does not fit the run is refused, and nothing is written', async ({
  web,
}) => {
  const file = 'kindred/photos/config.json'
  const dir = mkdtempSync(join(tmpdir(), 'kindred-'))
  const stored = await storedRun('photos', runConfig)
  const folder = await createRun(join(dir, 'run'), { ...runConfig })
  const memory = new MemoryStorage(runConfig, 'mine')
  for (const run of [stored, folder, memory]) {
    await run.writeConfig({ ...runConfig, seed: 1 }) // nothing is trained yet
    await run.writeConfig({ ...runConfig })
    await saveStep(run, 2)
    const before = [
      run.config,
      web.files.get(file),
      readFileSync(folder.path('config.json'), 'utf8'),
    ]
    const wrong = `${run.name}: the new configuration: 1 field is wrong; mend it\n  `
    const kept =
      `${run.name}: the new configuration has other settings than the checkpoint of step 2: batch ` +
      '16 -> 8; a run that has begun keeps them, but for data, schedule.lr and epochs; put back ' +
      'batch 16, or start a new run'
    for (const [change, message] of [
      [{ epoch: 5 }, `${wrong}epoch: is not known; did you mean epochs?`],
      [{ epochs: '5' }, `${wrong}epochs: must be a whole number from 1 on, got "5"`],
      [{ batch: 8 }, kept],
      [{ batch: 8, epochs: 5 }, kept],
    ] as const)
      await refusesAsync(() => run.writeConfig({ ...runConfig, ...change }), message)
    await refusesAsync(
      () => run.writeConfig({}),
      `${run.name}: the new configuration: 1 field is wrong; mend it\n  method: must be one of ` +
        'simclr, moco, memory-bank, end-to-end, amdim, got none',
    )
    assert.equal(
      [run.config, web.files.get(file), readFileSync(folder.path('config.json'), 'utf8')],
      before,
    )
    const knn = { ...runConfig.knn, every: 0 }
    await run.writeConfig({ ...runConfig, epochs: 5, checkpointEvery: 3, knn })
    assert.is(run.config['epochs'], 5)
  }
  await stored.close()
  await folder.close()
  rmSync(dir, { recursive: true })
})

test('images are kept with a run, and copied with it', async ({ web }) => {
  const images = procedural({ train: 6, test: 3, size: 8 })
  const run = await storedRun('photos', runConfig)
  assert.is(await run.images(), null)
  await run.keepImages(images)
  await saveStep(run, 2)
  await run.close()
  const again = await storedRun('photos')
  const digests = await digestsOf(images, runConfig, sha256)
  const kept = await again.images()
  assert.ok(kept)
  assert.equal(await digestsOf(kept, runConfig, sha256), digests)
  await saveStep(again, 4) // checkpoints come and go beside them
  const copy = await storeRun('copy', await unpackRun(await packRun(again)))
  const copied = await copy.images()
  assert.ok(copied)
  assert.equal(await digestsOf(copied, runConfig, sha256), digests)
  await again.close()
  await copy.close()
  web.files.set('kindred/copy/images.safetensors', new TextEncoder().encode('no images'))
  const damaged = await storedRun('copy')
  assert.match(
    await toldBy(damaged.images()),
    /^the run 'copy': images\.safetensors: the header claims \d+ bytes, the file holds 9; /,
  )
  await damaged.close()
  await removeRun('copy')
  assert.not.ok([...web.files.keys()].some((name) => name.startsWith('kindred/copy/')))
})

test('a run in use is refused, and so is every write after close', async () => {
  const run = await storedRun('photos', runConfig)
  const inUse =
    "the run 'photos' is in use, by another tab, a worker, or a storage of this page that was not closed; close it there, or wait for its training to end"
  await refusesAsync(() => storedRun('photos'), inUse)
  await refusesAsync(() => removeRun('photos'), inUse)
  assert.is((await storedRuns())[0]?.inUse, true)
  await run.close()
  await run.close() // is closed
  await refusesAsync(
    () => saveStep(run, 1),
    `the run 'photos' is closed; storedRun("photos") opens it`,
  )
  await (await storedRun('photos')).close()
})

test('runs are listed and removed, and what is wrong is refused', async ({ web }) => {
  assert.equal(await storedRuns(), [])
  await (await storedRun('b', runConfig)).close()
  const run = await storedRun('a', runConfig)
  await saveStep(run, 3)
  await run.close()
  web.files.set('kindred/c/config.json', new TextEncoder().encode('[]'))
  await (await web.storage.getDirectory()).getDirectoryHandle('kindred/c', { create: true })
  const listed = await storedRuns()
  assert.equal(
    listed.map(({ name, method, step, inUse }) => ({ name, method, step, inUse })),
    [
      { name: 'a', method: 'simclr', step: 3, inUse: false },
      { name: 'b', method: 'simclr', step: null, inUse: false },
      { name: 'c', method: null, step: null, inUse: false },
    ],
  )
  assert.ok(listed.every(({ bytes }) => bytes > 1))
  await refusesAsync(
    () => storedRun('c'),
    'the run \'c\': config.json is damaged: it is not a JSON object; remove the run by removeRun("c"), or choose another name',
  )
  for (const name of ['a', 'c']) await removeRun(name)
  assert.equal(
    (await storedRuns()).map(({ name }) => name),
    ['b'],
  )
  await refusesAsync(() => removeRun('a'), "removeRun: this page keeps no run 'a', it keeps b")
  await refusesAsync(
    () => storedRun('a'),
    "storedRun: this page keeps no run 'a', it keeps b; give the configuration of a new one, as configOf makes it",
  )
  await refusesAsync(
    () => storedRun('b', { ...runConfig, epochs: 3 }),
    "storedRun: the run 'b' has other settings: epochs 2 -> 3; leave out the configuration to go on with it, or choose another name",
  )
  await refusesAsync(
    () => storedRun('\ud800', runConfig),
    "storedRun: name must be a name of 1 to 100 characters that does not begin with '.', without /, \\ and lone surrogates, got '\ud800'",
  )
  const around: object[] = []
  around.push(around)
  for (const config of [{ a: 1 }, { ...runConfig, batch: -3 }, { ...runConfig, batch: around }])
    assert.match(
      await toldBy(storedRun('d', config as never)),
      /^storedRun: the configuration of 'd': 1 field is wrong; mend the configuration\n {2}(method|batch): must be /,
    )
  const shown = { '': "''", '../a': "'../a'", '.a': "'.a'", 'a/b': "'a/b'", 'a\\b': "'a\\b'" }
  for (const [name, got] of Object.entries(shown))
    await refusesAsync(
      () => storedRun(name, runConfig),
      `storedRun: name must be a name of 1 to 100 characters that does not begin with '.', without /, \\ and lone surrogates, got ${got}`,
    )
  await refusesAsync(
    () => storedRun('a', runConfig, { place: 'opsf' as never }),
    "storedRun: place must be 'opfs' or 'indexed-db', got 'opsf'; did you mean 'opfs'?",
  )
})

test('a damaged newest checkpoint falls back with a word, and gives way to the next', async ({
  web,
}) => {
  const run = await storedRun('photos', runConfig)
  for (const step of [2, 4]) await saveStep(run, step)
  web.files.get(stepFile(4))?.fill(0, -4)
  const { checkpoint, damaged } = await run.latest()
  assert.is(checkpoint?.step, 2)
  assert.equal(damaged, [
    "the run 'photos': step-00000004.safetensors: its contents are not what was saved; the file is damaged",
  ])
  await saveStep(run, 3) // as with another checkpointEvery
  assert.equal(
    [...web.files.keys()].filter((path) => path.includes('step-')),
    [stepFile(2), stepFile(3)],
  )
  for (const step of [2, 3]) web.files.set(stepFile(step), new Uint8Array(9))
  assert.match(
    await toldBy(run.latest()),
    /no checkpoint can be read; start again under another name\n.*step-00000003/,
  )
  await run.close()
})

test('a renamed checkpoint hides no newer one', async ({ web }) => {
  const run = await storedRun('photos', runConfig)
  for (const step of [2, 4]) await saveStep(run, step)
  web.files.set(stepFile(99), web.files.get(stepFile(2)) ?? new Uint8Array(0))
  const { checkpoint, damaged } = await run.latest()
  assert.is(checkpoint?.step, 4)
  assert.equal(damaged, [
    "the run 'photos': step-00000099.safetensors: it holds step 2, and its name says 99; the file was renamed",
  ])
  await run.close()
})

test('a full storage is told in words, and leaves the old state', async ({ web }) => {
  const run = await storedRun('photos', runConfig)
  await saveStep(run, 2)
  const bits = await bitsOf(run)
  web.onClose = (path) => {
    if (!path.includes('step-')) return
    throw Object.assign(new Error('too much'), { name: 'QuotaExceededError' })
  }
  await refusesAsync(
    () => saveStep(run, 4),
    "the run 'photos': step-00000004.safetensors was not stored: this page may store no more (needs 2 KB, and uses 9 MB of 10 MB); what was stored before is intact: remove other runs by removeRun, or save this one by packRun",
  )
  assert.equal(await bitsOf(run), bits)
  const other = await keptRun([1, 2])
  await refusesAsync(
    () => storeRun('copy', other),
    "the run 'copy': step-00000002.safetensors was not stored: this page may store no more (needs 2 KB, and uses 9 MB of 10 MB); what was stored before is intact: remove other runs by removeRun, or save this one by packRun",
  )
  assert.equal(
    (await storedRuns()).map(({ name }) => name),
    ['photos'],
  )
  assert.not.ok([...web.files.keys()].some((path) => path.includes('copy')))
  web.onClose = () => {
    throw new Error('the disk is gone')
  }
  await refusesAsync(
    () => run.writeConfig({ ...runConfig, epochs: 9 }),
    "the run 'photos': config.json was not stored: the disk is gone; what was stored before is intact",
  )
  assert.equal(run.config, runConfig)
  web.onClose = () => {}
  await saveStep(run, 4)
  await run.close()
})

test('a page that is killed in any write leaves the last whole state', async ({ web }) => {
  const run = await storedRun('photos', runConfig)
  await saveStep(run, 2)
  await saveStep(run, 4)
  await run.close()
  for (const at of [1, 2, 3]) {
    const again = await storedRun('photos')
    let writes = 0
    const killed = new Promise<void>((resolve) => {
      web.onClose = () => {
        if (++writes === at) resolve()
        if (writes >= at) throw new Error('killed') // nothing more is written
      }
    })
    void saveStep(again, 6, true).catch(() => undefined)
    await killed
    web.onClose = () => {}
    await again.close().catch(() => undefined)
    const later = await storedRun('photos')
    const { checkpoint, damaged } = await later.latest()
    assert.equal([checkpoint?.step, damaged], [at <= 2 ? 4 : 6, []], `killed at write ${at}`)
    await later.keepMetrics(({ step }) => step <= (checkpoint?.step ?? 0))
    assert.ok((await later.metrics()).length >= 2)
    await later.close()
  }
})

test('a packed run is stored whole or not at all, and comes out the same', async () => {
  const run = await keptRun([3, 6, 9], 6)
  const stored = await storeRun('photos', await unpackRun(await packRun(run)))
  assert.equal(await bitsOf(stored), await bitsOf(run))
  assert.equal(await stored.metrics(), await run.metrics())
  assert.is((await stored.bestCheckpoint())?.step, 6)
  await refusesAsync(
    () => storeRun('other', {} as never),
    'storeRun: from must be a storage, as unpackRun makes it, got an empty object',
  )
  await stored.close()
  await refusesAsync(
    () => storeRun('photos', run),
    `storeRun: this page keeps a run 'photos' already; choose another name, or remove it by removeRun("photos")`,
  )
})

test('a source that nothing could go on from is refused, and nothing is stored', async () => {
  const wrong = [
    [
      { epochs: 0 },
      'its configuration: 1 field is wrong; mend it\n  epochs: must be a whole number from 1 on, got 0',
    ],
    [
      { batch: 8 },
      'config.json has other settings than the checkpoint of step 6: batch 16 -> 8; a run that has begun keeps them, but for data, schedule.lr and epochs; put back batch 16, or start a new run',
    ],
  ] as const
  for (const [change, message] of wrong) {
    const from = await keptRun([3, 6], undefined, { ...runConfig, ...change })
    await refusesAsync(() => storeRun('photos', from), `the training: ${message}`)
    await refusesAsync(() => packRun(from), `the training: ${message}`)
  }
  assert.equal(await storedRuns(), [])
})

test('runs of both places are listed, opened and removed', async () => {
  const remove = installDatabase()
  const there = { place: 'indexed-db' } as const
  const run = await storedRun('old', runConfig, there)
  await saveStep(run, 3)
  const [info] = await storedRuns()
  assert.equal([info?.name, info?.place, info?.step, info?.inUse], ['old', 'indexed-db', 3, true])
  await (await storedRun('old', runConfig, { place: 'opfs' })).close() // another run
  const twice =
    "this page keeps 2 runs 'old'; choose one by its place: { place: 'opfs' } or { place: 'indexed-db' }"
  await refusesAsync(() => storedRun('old'), twice)
  await refusesAsync(() => removeRun('old'), twice)
  await removeRun('old', { place: 'opfs' })
  await run.close()
  const again = await storedRun('old')
  assert.is((await again.latest()).checkpoint?.step, 3)
  await again.close()
  await refusesAsync(
    async () => storeRun('old', await keptRun([1])),
    'storeRun: this page keeps a run \'old\' already; choose another name, or remove it by removeRun("old")',
  )
  await removeRun('old')
  assert.equal(await storedRuns(), [])
  remove()
})

test('a page without any storage is told what to do', async ({ uninstall }) => {
  uninstall()
  await refusesAsync(
    () => storedRun('photos', runConfig),
    'this page can keep no runs: it has no private file system; it has no IndexedDB; open it over https or on localhost, and in no private window, or train with MemoryStorage and save what packRun makes of it',
  )
})

test.run()
