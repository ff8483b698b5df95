import * as assert from 'uvu/assert'
import { snapshot } from '../../engine/checkpoint.ts'
import { resnet18, resnet34, resnet50 } from '../../models/resnet.ts'
import { loadModel, saveModel } from '../../models/state.ts'
import { Golden } from '../fixtures/golden.ts'
import { evaluating, resnetGolden } from '../fixtures/golden-simclr.ts'
import { gpuSuite } from '../fixtures/gpu.ts'
import { refuses } from '../fixtures/refusal.ts'

const test = gpuSuite('resnet')

for (const name of ['resnet18_w6_32px', 'resnet50_w4_16px']) {
  test(`${name}: outputs, gradients and running statistics`, ({ gpu }) =>
    resnetGolden(gpu, new Golden(name)))
}

test('resnet34 has 34 layers, the ImageNet stem shrinks by 4, and widths multiply', async ({
  gpu,
}) => {
  const model = resnet34(gpu, { stem: 'imagenet', width: 2 })
  const convolutions = Object.entries(model.parameters).filter(([, p]) => p.shape.length === 4)
  assert.is(convolutions.filter(([name]) => !name.includes('downsample')).length + 1, 34) // torchvision's has a classifier too
  assert.equal(model.parameters['conv1.weight']?.shape, [7, 7, 3, 2])
  assert.is(model.features, 16)
  const h = gpu.noGrad(() =>
    model.forward(gpu.tensor(new Float32Array(33 * 35 * 3), [1, 33, 35, 3]), evaluating),
  )
  assert.equal(h.shape, [1, 16])
  assert.is(resnet50(gpu, { width: 1 }).features, 32)
})

test('the same seed gives the same weights; zeroInitResidual silences the branches', async ({
  gpu,
}) => {
  const weights = async (seed: number) => [
    ...(await saveModel(gpu, resnet18(gpu, { width: 1, seed }))).values(),
  ]
  assert.equal(await weights(3), await weights(3))
  assert.not.equal(await weights(3), await weights(4))
  const silent = await snapshot(gpu, resnet18(gpu, { width: 1, zeroInitResidual: true }).parameters)
  assert.equal([...(silent.get('layer1.0.bn2.weight')?.data ?? [])], [0])
  assert.equal([...(silent.get('layer1.0.bn1.weight')?.data ?? [])], [1])
})

test('a checkpoint of another width is refused by name, and nothing is changed', async ({
  gpu,
}) => {
  const [small, wide] = [resnet18(gpu, { width: 1 }), resnet18(gpu, { width: 2 })]
  const before = await saveModel(gpu, small)
  const other = await saveModel(gpu, wide)
  assert.throws(
    () => loadModel(gpu, small, other),
    /conv1.weight is \[2, 3, 3, 3\], the model needs \[1, 3, 3, 3\]; it is of another model or width/,
  )
  const last = 'layer4.1.bn2.running_var' // what is looked at last; all before it would fit
  const fits = new Map(await saveModel(gpu, resnet18(gpu, { width: 1, seed: 5 })))
  for (const name of fits.keys())
    if (name.endsWith('tracked')) fits.set(name, { shape: [], data: BigInt64Array.of(7n) })
  const almost = new Map([...fits, ...[...other].filter(([name]) => name === last)])
  refuses(
    () => loadModel(gpu, small, almost),
    `checkpoint: ${last} is [16], the model needs [8]; it is of another model or width`,
  )
  assert.equal([...(await saveModel(gpu, small))], [...before])
  loadModel(gpu, small, fits)
  assert.equal([...(await saveModel(gpu, small))], [...fits])
  assert.throws(
    () => resnet18(gpu, { width: 0 }),
    /width must be a whole number of channels from 1 on, got 0/,
  )
})

test.run()
