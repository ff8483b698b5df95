import { spawn, spawnSync } from 'node:child_process'
import {
  appendFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { save } from '../../engine/node-files.ts'
import type { SavedTensor } from '../../engine/safetensors.ts'
import { resumeCommand } from '../../cli/command.ts'
import {
  beginRun as createRun,
  readRun as openRun,
  continueRun as resumeRun,
} from '../../cli/runs.ts'
import { reasonOf } from '../../kernels/reason-of.ts'
import { nodeSha256 } from '../../run-folder/run-folder.ts'
import type { TrainingStorage } from '../../training/storage.ts'
import { refuses } from '../fixtures/refusal.ts'

const self = fileURLToPath(import.meta.url) // started again, with a role, by the tests that need a second process
const tensors = (value: number, count = 2) =>
  new Map<string, SavedTensor>([
    ['w', { shape: [count], data: new Float32Array(count).fill(value) }],
  ])
const fileOf = (step: number) => `step-${String(step).padStart(8, '0')}.safetensors`

/** Holds a run and writes to it until killed. */
async function hold(dir: string) {
  const run = await createRun(dir, { method: 'simclr' })
  await run.saveCheckpoint(1, tensors(1), {})
  console.log('ready')
  for (let step = 1; ; step++) {
    run.append({ step, loss: 1 / step })
    if (step % 100 === 0) await run.saveCheckpoint(step, tensors(step, 20_000), {})
  }
}

/** Saves checkpoints on a small disk until it is full. */
async function fill(dir: string) {
  const run = await createRun(join(dir, 'a'), { method: 'simclr' })
  await run.saveCheckpoint(1, tensors(1, 30_000), {})
  const error = await run.saveCheckpoint(2, tensors(2, 30_000), {}).catch((e: unknown) => e)
  const { checkpoint } = await run.latest()
  console.log(
    JSON.stringify([String(error), checkpoint?.step, readdirSync(join(dir, 'a', 'checkpoints'))]),
  )
  await run.close()
}

function tests() {
  const test = suite<{ dir: string }>('run folder')
  test.before.each((context) => {
    context.dir = mkdtempSync(join(tmpdir(), 'kindred-'))
  })
  test.after.each(({ dir }) => rmSync(dir, { recursive: true }))

  test('keeps config, metrics and checkpoints', async ({ dir }) => {
    const out = join(dir, 'runs', 'a')
    const run = await createRun(out, { method: 'simclr', batch: 8 })
    run.append({ step: 1, loss: 2.5, lr: 0.1 })
    run.append({ step: 2, loss: 2.25, lr: 0.1 })
    await run.saveCheckpoint(2, tensors(7), { seed: '3' })
    await run.close()
    assert.equal(readdirSync(out).sort(), ['checkpoints', 'config.json', 'metrics.jsonl'])
    const again = await openRun(out)
    assert.equal(again.config, { method: 'simclr', batch: 8 })
    assert.equal(await again.metrics(), [
      { step: 1, loss: 2.5, lr: 0.1 },
      { step: 2, loss: 2.25, lr: 0.1 },
    ])
    const { checkpoint, damaged } = await again.latest()
    assert.equal(damaged, [])
    assert.is(checkpoint?.step, 2)
    assert.equal(checkpoint?.metadata, { seed: '3', step: '2' })
    assert.equal([...(checkpoint?.tensors.get('w')?.data ?? [])], [7, 7])
    refuses(() => again.append({ step: 3 }), `${out} is not open for writing; resumeRun opens it`)
  })

  test('of an older version has the head names of today', async ({ dir }) => {
    const head = { hidden: 128, dim: 64 }
    const run = await createRun(join(dir, 'a'), {
      method: 'simclr',
      head: { style: 'seed', ...head },
    })
    await run.close()
    const again = await openRun(join(dir, 'a'))
    assert.equal(again.config, { method: 'simclr', head: { style: 'leftthomas', ...head } })
  })

  test('is never overwritten', async ({ dir }) => {
    await (await createRun(dir, { method: 'simclr' })).close()
    assert.is(
      await message(createRun(dir, { method: 'moco' })),
      `${dir} already holds a run; choose another --out, or go on with: ${resumeCommand('simclr', dir)}`,
    )
    assert.equal((await openRun(dir)).config, { method: 'simclr' })
    assert.equal(readdirSync(dir).sort(), ['checkpoints', 'config.json'])
  })

  test('that cannot be written is refused in one line', async () => {
    assert.is(
      await message(createRun('/dev/null/x', {})),
      'cannot write /dev/null/x: part of the path is a file, not a folder; choose another folder',
    )
  })

  test('says what is wrong with a folder that holds none', async ({ dir }) => {
    const none = join(dir, 'none')
    assert.is(
      await message(openRun(none)),
      `${none} does not exist; give the --out folder of a training`,
    )
    const file = `${dir}-file`
    writeFileSync(file, '')
    assert.is(
      await message(openRun(file)),
      `${file} is a file, not a run folder; give the --out folder of a training`,
    )
    assert.is(
      await message(openRun(join(file, 'x'))),
      `${join(file, 'x')} cannot be reached: part of the path is a file, not a folder; give the --out folder of a training`,
    )
    rmSync(file)
    assert.is(
      await message(resumeRun(dir)),
      `${dir} is not a run folder: it has no config.json; give the --out folder of a training`,
    )
    assert.equal(readdirSync(dir), [])
    writeFileSync(join(dir, 'config.json'), '{\n  "a": 1\n  "b": 2\n}')
    assert.is(
      await message(openRun(dir)),
      `${join(dir, 'config.json')} is damaged: it is not a JSON object (line 3); restore it, or train again with another --out`,
    )
    writeFileSync(join(dir, 'config.json'), '{\n  "a": { "b": 1 },\n  "b": 1,\n  "b": 2\n}')
    assert.is(
      await message(openRun(dir)),
      `${join(dir, 'config.json')} is damaged: it has the name 'b' twice (line 4); restore it, or train again with another --out`,
    )
    rmSync(join(dir, 'config.json'))
    symlinkSync(join(dir, 'lost'), join(dir, 'config.json'))
    assert.is(
      await message(openRun(dir)),
      `${join(dir, 'config.json')} is a link to ${join(dir, 'lost')}, which does not exist; restore it, or train again with another --out`,
    )
    rmSync(join(dir, 'config.json'))
    for (const text of ['{"method": "sim', '[]', '']) {
      writeFileSync(join(dir, 'config.json'), text)
      assert.match(await message(openRun(dir)), /config\.json is damaged: it is not a JSON object/)
    }
  })

  test('keeps the newest checkpoints and the best', async ({ dir }) => {
    const run = await createRun(dir, {})
    assert.equal(await run.latest(), { checkpoint: null, damaged: [] })
    for (const step of [50, 100, 9, 1000])
      await run.saveCheckpoint(step, tensors(step), {}, { best: step === 9 })
    assert.equal(readdirSync(join(dir, 'checkpoints')).sort(), [
      'best.safetensors',
      fileOf(100),
      fileOf(1000),
    ])
    assert.is((await run.latest()).checkpoint?.step, 1000)
    assert.is((await run.bestCheckpoint())?.step, 9)
    await run.saveCheckpoint(1001, tensors(5), {}, { keep: 1, best: true })
    assert.equal(readdirSync(join(dir, 'checkpoints')).sort(), ['best.safetensors', fileOf(1001)])
    assert.equal([...((await run.bestCheckpoint())?.tensors.get('w')?.data ?? [])], [5, 5])
    await run.close()
  })

  test('resumes before a damaged checkpoint, and names it', async ({ dir }) => {
    const run = await createRun(dir, {})
    for (const step of [1, 2, 3]) await run.saveCheckpoint(step, tensors(step), {}, { keep: 3 })
    await run.close()
    truncateSync(join(dir, 'checkpoints', fileOf(3)), 60)
    writeFileSync(join(dir, 'checkpoints', fileOf(2)), 'not safetensors')
    assert.is((await (await openRun(dir)).latest()).checkpoint?.step, 1)
    assert.ok(existsSync(join(dir, 'checkpoints', fileOf(3))), 'reading moves nothing')
    const again = await resumeRun(dir)
    const { checkpoint, damaged } = await again.latest()
    assert.is(checkpoint?.step, 1)
    assert.equal(
      damaged.map((line) => line.split(':')[0]),
      [join(dir, 'checkpoints', fileOf(3)), join(dir, 'checkpoints', fileOf(2))],
    )
    await again.saveCheckpoint(2, tensors(2), {})
    assert.equal((await again.latest()).damaged, [])
    truncateSync(join(dir, 'checkpoints', fileOf(1)), 60)
    truncateSync(join(dir, 'checkpoints', fileOf(2)), 60)
    assert.match(
      await message(again.latest()),
      /no checkpoint can be read; start again with another --out\n.*00002/,
    )
    await again.close()
  })

  test('resumes before a checkpoint with values that are not finite, and names it', async ({
    dir,
  }) => {
    const run = await createRun(dir, {})
    await run.saveCheckpoint(1, tensors(1), {})
    await run.saveCheckpoint(
      2,
      new Map([...tensors(2), ['m', { shape: [1], data: Float32Array.of(NaN) }]]),
      {},
    )
    const { checkpoint, damaged } = await run.latest()
    assert.is(checkpoint?.step, 1)
    const path = join(dir, 'checkpoints', fileOf(2))
    assert.equal(damaged, [
      `${path}: it holds values that are not finite, in m; nothing can go on from it`,
    ])
    assert.ok(existsSync(`${path}.damaged`))
    await run.close()
  })

  test('resumes before a checkpoint whose metadata cannot be true, and names it', async ({
    dir,
  }) => {
    const run = await createRun(dir, {})
    const path = join(dir, 'checkpoints', fileOf(2))
    const counter = (name: string, value: string) =>
      `its ${name} must be a whole number from 0 on, got "${value}"; the file is damaged`
    const settings = 'its settings (config) are not what was saved; the file is damaged'
    const cases: readonly (readonly [metadata: Record<string, string>, reason: string])[] = [
      [{ step: '-3' }, counter('step', '-3')],
      [{ step: '' }, counter('step', '')],
      [{ step: 'two' }, counter('step', 'two')],
      [{ step: '2', 'optimizer.t': '1e9' }, counter('optimizer.t', '1e9')],
      [{ step: '2', 'queue.pointer': '' }, counter('queue.pointer', '')],
      [{}, 'it holds no step; it is not a checkpoint of a run'],
      [{ step: '2', config: '{"lr":' }, settings],
      [{ step: '2', config: '[]' }, settings],
      [{ step: '2', config: '{}', 'config.sha256': '00' }, settings],
    ]
    for (const [metadata, reason] of cases) {
      await run.saveCheckpoint(1, tensors(1), {}, { keep: 3 })
      await save(path, tensors(2), metadata)
      const { checkpoint, damaged } = await run.latest()
      assert.equal([checkpoint?.step, damaged], [1, [`${path}: ${reason}`]])
    }
    await run.close()
  })

  test('drops what a resumed run measures again, and a line cut short', async ({ dir }) => {
    const run = await createRun(dir, {})
    for (let step = 1; step <= 6; step++) run.append({ step, loss: step })
    run.append({ step: 4, knn: 50 })
    await run.close()
    const path = join(dir, 'metrics.jsonl')
    appendFileSync(path, '{"step":7,"lo')
    assert.is((await (await openRun(dir)).metrics()).length, 7)
    const again = await resumeRun(dir)
    await again.keepMetrics(({ step }) => step <= 4)
    again.append({ step: 5, loss: 0.5 })
    const lines = readFileSync(path, 'utf8').split('\n')
    assert.equal(lines.slice(3), [
      '{"step":4,"loss":4}',
      '{"step":4,"knn":50}',
      '{"step":5,"loss":0.5}',
      '',
    ])
    await again.close()
    appendFileSync(path, 'oops\n{"step":6}\n')
    assert.is(
      await message(again.metrics()),
      `${path}: line 7 is damaged; delete that line to go on without it`,
    )
    const remedy = 'mend the line, or delete it to go on without it'
    for (const [line, words] of [
      ['{"step":8,"loss":"abc"}', 'loss must be a number, got "abc"'],
      ['{"step":"8","loss":1}', 'step must be a whole number from 0 on, got "8"'],
      ['{"loss":1}', 'step is missing; it must be a whole number from 0 on'],
      ['{"step":1,"knn":null}', 'knn must be a number, got null'],
      ['{"step":1,"terms":{"nce":"1"}}', 'terms.nce must be a number, got "1"'],
      ['{"step":1,"changed":3}', 'changed must be an object, got 3'],
    ]) {
      writeFileSync(path, `{"step":0}\n${line}\n`)
      assert.is(await message(again.metrics()), `${path}: line 2: ${words}; ${remedy}`)
    }
  })

  test('is held by one process at a time', async ({ dir }) => {
    const run = await createRun(dir, {})
    assert.match(
      await message(resumeRun(dir)),
      new RegExp(`^${dir} is in use by process ${process.pid}; wait for it`),
    )
    assert.ok(await openRun(dir), 'reading is free')
    await run.close()
    await (await resumeRun(dir)).close()
    writeFileSync(join(dir, 'lock'), '{"pid":') // its writer died at once
    await (await resumeRun(dir)).close()
    assert.not(existsSync(join(dir, 'lock')))
  })

  test('survives kill -9 of its process', async ({ dir }) => {
    const out = join(dir, 'a')
    const child = spawn(process.execPath, [self, 'hold', out], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    await new Promise((resolve) => child.stdout.once('data', resolve))
    await new Promise((resolve) => setTimeout(resolve, 200)) // at any moment of its writing
    child.kill('SIGKILL')
    await new Promise((resolve) => child.once('close', resolve))
    const run = await resumeRun(out)
    const { checkpoint, damaged } = await run.latest()
    assert.equal(damaged, [])
    assert.ok(checkpoint)
    await run.keepMetrics(({ step }) => step <= (checkpoint?.step ?? 0))
    assert.is(
      (await run.metrics()).at(-1)?.step,
      checkpoint?.step,
      'metrics reach as far as the checkpoint',
    )
    assert.equal(
      readdirSync(join(out, 'checkpoints')).filter((name) => name.endsWith('.tmp')),
      [],
    )
    await run.close()
  })

  test('survives a full disk', ({ dir }) => {
    const mounted = `mount -t tmpfs -o size=200k none '${dir}' && exec '${process.execPath}' '${self}' fill '${dir}'`
    const { status, stdout } = spawnSync('unshare', ['-m', 'sh', '-c', mounted], {
      encoding: 'utf8',
    })
    if (status !== 0) return // mounting a small disk takes rights that not everyone has
    const [error, step, files] = JSON.parse(stdout) as [string, number, string[]] // printed by fill
    const path = join(dir, 'a', 'checkpoints', fileOf(2))
    assert.is(
      error,
      `Error: cannot write ${path}: the disk is full (needs 121 KB); free space, then run: npx kindred train simclr --resume ${join(dir, 'a')}`,
    )
    assert.is(step, 1)
    assert.equal(files, [fileOf(1)])
  })

  test('takes a folder that is there already', async ({ dir }) => {
    mkdirSync(join(dir, 'notes'))
    await (await createRun(dir, {})).close()
    assert.ok(existsSync(join(dir, 'notes')))
  })

  test('a run folder digests images by Node, in native code', async () => {
    const dir = mkdtempSync(join(tmpdir(), 'kindred-run-'))
    const run = await createRun(join(dir, 'run'), { method: 'simclr' })
    const storage: TrainingStorage = run // `train` asks it for a `sha256`
    assert.is(storage.sha256, nodeSha256)
    await run.close()
    rmSync(dir, { recursive: true })
  })

  test.run()
}

async function message(promise: Promise<unknown>): Promise<string> {
  return promise.then(() => assert.unreachable('should have failed') as never, reasonOf)
}

const [role, folder = ''] = process.argv.slice(2)
if (role === 'hold') await hold(folder)
else if (role === 'fill') await fill(folder)
else tests()
