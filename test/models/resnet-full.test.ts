import { sizeOf } from '../../kernels/op.ts'
import { ntXent } from '../../kernels/loss/ntxent.ts'
import { variablesOf } from '../../models/state.ts'
import { Golden, toOIHW } from '../fixtures/golden.ts'
import { build, evaluating, forward, ourName, training } from '../fixtures/golden-simclr.ts'
import { gpuSuite } from '../fixtures/gpu.ts'

const test = gpuSuite('full-width ResNets')

const norm = (values: Float32Array) => Math.sqrt(values.reduce((sum, v) => sum + v * v, 0))

for (const name of ['resnet18_full_recipe', 'resnet50_full_recipe']) {
  test(`${name}: one SimCLR step of the paper's network`, async ({ gpu }) => {
    const golden = new Golden(name)
    const model = build(gpu, golden)
    const [x1, x2] = [golden.images(gpu, 'in.x1'), golden.images(gpu, 'in.x2')]
    const before = gpu.noGrad(() => forward(model, x1, evaluating))
    for (const [key, tensor] of Object.entries(before))
      await golden.match(gpu, `out.eval.${key}`, tensor)
    const [first, second] = [forward(model, x1, training), forward(model, x2, training)]
    const loss = ntXent(first.out, second.out, Number(golden.config['temperature']), {
      normalized: true,
    })
    const gradients = gpu.backward(loss)
    await golden.match(gpu, 'out.loss', loss)
    await golden.match(gpu, 'out.train.feature_1', first.feature)
    await golden.match(gpu, 'out.train.out_1', first.out)
    await golden.match(gpu, 'out.train.out_2', second.out)

    const variables = { ...variablesOf(model.encoder), ...variablesOf(model.head) }
    const norms: number[] = []
    for (const theirs of golden.order('grad_norm_order')) {
      const variable = variables[ourName(theirs)]
      const gradient = variable && gradients.of(variable)
      if (!gradient) throw new Error(`${name}: no gradient for ${theirs}`)
      const values = await gpu.read(gradient)
      norms.push(norm(values))
      if (golden.has(`grad.head64.${theirs}`)) {
        const theirLayout =
          gradient.shape.length === 4 ? toOIHW(values, gradient.shape).values : values
        golden.expect(
          `grad.head64.${theirs}`,
          theirLayout.slice(0, Math.min(64, sizeOf(gradient.shape))),
        )
      }
    }
    golden.expect('out.grad_norms', norms)
    const after: number[] = []
    for (const theirs of golden.order('after_norm_order')) {
      const variable = variables[ourName(theirs)]
      if (!variable) throw new Error(`${name}: no variable for ${theirs}`)
      after.push(norm(await gpu.read(variable)))
    }
    golden.expect('out.after_norms', after)
    golden.done()
  })
}

test.run()
