import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import { add } from '../../kernels/elementwise/add.ts'
import { mul } from '../../kernels/elementwise/mul.ts'
import { matmul } from '../../kernels/matmul/matmul.ts'
import { tilesFor } from '../../kernels/tiles/plan.ts'
import { NodeGpu as Gpu } from '../../engine/node-gpu.ts'
import { keepInFile, tuneFile } from '../../engine/tune-file.ts'
import { random } from '../fixtures/check.ts'
import { quickAndFull } from '../fixtures/full.ts'
import { gpuSuite } from '../fixtures/gpu.ts'
import { needing } from '../fixtures/needing.ts'

const [test, full] = quickAndFull(gpuSuite('autotune'))
const timed = needing('timestamp-query', test)
const fullTimed = needing('timestamp-query', test, full)

timed('measures a choice once, and takes the same way from then on', async ({ gpu }) => {
  const guest = new Gpu(gpu.device)
  const x = guest.tensor([1, 2, 3], [3])
  const taken: number[] = []
  const double = () =>
    guest.noGrad(() =>
      guest.run.race('double', 2, 0, (way) => {
        taken.push(way)
        return way === 0 ? add(x, x) : mul(x, 2)
      }),
    )
  double()
  assert.equal(taken.splice(0), [0])
  await guest.tuner.tune(() => {
    double()
    double()
  })
  assert.equal(taken.splice(0), [...Array<number>(9).fill(0), ...Array<number>(9).fill(1), 0, 0])
  const [[name, way] = ['', NaN]] = Object.entries(guest.tuner.ways)
  assert.is(name, 'double')
  assert.equal([...(await guest.read(double()))], [2, 4, 6])
  assert.equal(taken, [way])
  guest.destroy()
})

fullTimed(
  'measures each kernel with a choice once, keeps it in a file, and changes no bit',
  async ({ gpu }) => {
    const folder = mkdtempSync(join(tmpdir(), 'kindred-'))
    const file = join(folder, 'cache', 'kernels.json')
    const info = gpu.device.adapterInfo
    const guest = new Gpu(gpu.device, { kernels: 'gpu' })
    await keepInFile(guest.tuner, info, file)
    assert.is(existsSync(file), false)
    const [a, b] = [guest.tensor(random(36 * 8), [36, 8]), guest.tensor(random(8 * 40, 2), [8, 40])]
    const product = () => guest.noGrad(() => matmul(a, b))
    const before = await guest.read(product())
    const dispatched = guest.stats().dispatches
    await guest.tuner.tune(() => {
      product()
      product()
    })
    const tiles = tilesFor(guest.run).length
    assert.is(guest.stats().dispatches - dispatched, tiles * 9 + 2)
    const [[name, way] = ['', NaN]] = Object.entries(guest.tuner.ways)
    assert.is(name, `gemm nn 36 x 40 x 8, f32 ${tiles}`)
    assert.ok(way >= 0 && way < tiles)
    assert.equal(await guest.read(product()), before)

    const later = new Gpu(gpu.device, { kernels: 'gpu' })
    await keepInFile(later.tuner, info, file)
    assert.equal(later.tuner.ways, guest.tuner.ways)
    later.tuner.learn({ [name]: 1000 }) // of a version with more tiles
    const [x, y] = [later.tensor(random(36 * 8), [36, 8]), later.tensor(random(8 * 40, 2), [8, 40])]
    assert.equal(await later.read(matmul(x, y)), before)

    writeFileSync(file, readFileSync(file, 'utf8').slice(0, -9))
    const last = new Gpu(gpu.device)
    await keepInFile(last.tuner, info, file)
    assert.equal(last.tuner.ways, {})
    for (const machine of [guest, later, last]) machine.destroy()
    rmSync(folder, { recursive: true })
  },
)

test('a folder that cannot be made for the file is told in words', async ({ gpu }) => {
  if (process.platform !== 'linux') return
  const guest = new Gpu(gpu.device)
  await keepInFile(guest.tuner, gpu.device.adapterInfo, '/proc/kindred/cache/kernels.json')
  assert.is(
    await Promise.resolve(guest.tuner.onLearned?.({})).then(() => '', String),
    'Error: cannot write /proc/kindred/cache: no folder can be made there; choose another folder',
  )
  guest.destroy()
})

test('the file lies in the cache folder of the user', () => {
  assert.is(tuneFile({ KINDRED_CACHE: '/a', XDG_CACHE_HOME: '/b' }), join('/a', 'kernels.json'))
  assert.is(tuneFile({ XDG_CACHE_HOME: '/b' }), join('/b', 'kindred', 'kernels.json'))
  assert.ok(tuneFile({}).endsWith(join('.cache', 'kindred', 'kernels.json')))
})

test.run()
