import * as assert from 'uvu/assert'
import { gelu } from '../../../kernels/elementwise/gelu.ts'
import { checkOp, close, random } from '../../fixtures/check.ts'
import { gradientAt } from '../../fixtures/golden-op.ts'
import { gpuSuite } from '../../fixtures/gpu.ts'

const test = gpuSuite('gelu')

/** The upper tail of the standard normal distribution, x >= 0: a series of positive terms, or
 *  Laplace's continued fraction. */
function upperTail(x: number): number {
  const density = Math.exp((-x * x) / 2) / Math.sqrt(2 * Math.PI)
  if (x > 3) {
    let fraction = 0
    for (let k = 200; k > 0; k--) fraction = k / (x + fraction)
    return density / (x + fraction)
  }
  let [term, sum] = [x, x]
  for (let k = 3; k < 200; k += 2) sum += term *= (x * x) / k
  return 0.5 - density * sum
}

const below = (x: number) => (x > 0 ? 1 - upperTail(x) : upperTail(-x))
const exact = (x: number) => x * below(x)
const byTanh = (x: number) =>
  x / (1 + Math.exp(-2 * Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3)))

for (const [approximate, f] of [
  ['none', exact],
  ['tanh', byTanh],
] as const)
  test(`approximate: '${approximate}'`, async ({ gpu }) => {
    for (const count of [1, 64, 131]) {
      const values = [random(count, 7).map((v) => Math.fround(6 * v))]
      const op = gelu
      await checkOp(
        gpu,
        (x) => op(x, { approximate }),
        (x) => x.map(f),
        [[count]],
        { values },
      )
    }
  })

test('known values', async ({ gpu }) => {
  const x = gpu.tensor([-3, -1, 0, 0.5, 2], [5])
  const none = [-0.0040496940948894, -0.1586552539314571, 0, 0.3457312306370132, 1.9544997361036416]
  const tanh = [-0.0036373920817729943, -0.15880800939172324, 0, 0.3457140098, 1.954597694087775]
  close(await gpu.read(gelu(x)), none, 3e-7, 'none')
  close(await gpu.read(gelu(x, { approximate: 'tanh' })), tanh, 3e-7, 'tanh')
})

test('every part of the range keeps its digits', async ({ gpu }) => {
  const x = Array.from({ length: 2001 }, (_, i) => Math.fround((i - 1000) / 160)) // +-6.25
  const got = await gpu.read(gelu(gpu.tensor(x, [x.length])))
  for (const [i, v] of x.entries()) {
    const error = Math.abs((got[i] ?? NaN) - exact(v))
    // the error of exp grows with its argument: (3 + 2 |x|) units in the last place
    const units = 4 + 2 * (v < 0 ? v * v : 1)
    assert.ok(error <= units * 2 ** -23 * Math.abs(exact(v)), `gelu(${v}): ${got[i]}, ${exact(v)}`)
  }
})

test('the ends, and NaN', async ({ gpu }) => {
  const far = [-1e20, -100, -20, 20, 100, 1e20]
  for (const approximate of ['none', 'tanh'] as const) {
    const x = gpu.tensor([...far, NaN], [7])
    const y = gelu(x, { approximate })
    const got = [...(await gpu.read(y))]
    assert.ok(
      got.slice(0, 3).every((v) => v === 0),
      got.join(),
    )
    assert.equal(got.slice(3), [...far.slice(3), NaN].map(Math.fround))
    const dx = [...(await gradientAt(gpu, y, x))]
    assert.ok(
      dx.slice(0, 3).every((v) => v === 0),
      dx.join(),
    )
    assert.equal(dx.slice(3), [1, 1, 1, NaN])
  }
})

test.run()
