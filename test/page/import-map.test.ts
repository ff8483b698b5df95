// The package for pages without a bundler: an import map of one line, and everything that is loaded
// only when it is used.

import * as assert from 'uvu/assert'
import { packRun } from '../../training/pack.ts'
import { keptRun } from '../fixtures/kept-run.ts'
import { pageSuite } from '../fixtures/page-suite.ts'

const test = pageSuite('an import map')

const index = `<!doctype html><link rel="icon" href="data:,">
<script type="importmap">{ "imports": { "kindred-web": "/dist/index.js" } }</script>
<script type="module">
  import * as kindred from 'kindred-web'
  const { exportOnnx, matmul, mostTypical, openGpu, packRun, pca, resnet8, umap, unpackRun } = kindred
  const run = async () => {
    const gpu = await openGpu()
    const product = [...(await gpu.read(matmul(gpu.tensor([[1, 2]]), gpu.tensor([[3], [4]]))))]
    const features = Float32Array.from({ length: 24 }, (_, i) => Math.sin(i * i))
    const rows = { features, M: 8, D: 3 }
    const { coordinates } = await umap(rows, { gpu, neighbours: 3 })
    const { order } = await mostTypical(rows, { gpu, picks: 2, neighbours: 2 })
    const onnx = await exportOnnx(gpu, resnet8(gpu, { width: 2 }), { input: [8, 8, 3] })
    gpu.destroy()
    const stored = await unpackRun(Uint8Array.from(await (await fetch('/run.json')).json()))
    const { size } = await packRun(stored)
    return {
      ...{ product, map: coordinates.length, picks: order.length, onnx: onnx.length, size },
      ...{ step: stored.newest.step, axes: pca(rows).components.length },
    }
  }
  globalThis.made = run()
</script>`

test('a page imports the package for pages by one line, and all of it works', async ({ open }) => {
  const run = new Uint8Array(await (await packRun(await keptRun([3]))).arrayBuffer())
  const texts = { '/index.html': index, '/run.json': JSON.stringify([...run]) }
  const { page, complaints } = await open('web', texts)
  const made = await page.evaluate(
    () => (globalThis as unknown as { made: Promise<Record<string, unknown>> }).made,
  )
  const { onnx, ...rest } = made
  assert.equal(rest, { product: [11], map: 16, picks: 2, axes: 6, step: 3, size: run.length })
  assert.ok(Number(onnx) > 1000)
  assert.equal(complaints, [])
})

test.run()
