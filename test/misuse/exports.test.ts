// Calls every function that the library exports with nothing and with a number. The error must be
// the library's own.

import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import * as kindred from '../../node.ts'
import { call, make } from '../fixtures/misuse.ts'

const test = suite('misuse of exports')

const apart = ['openGpu', 'biasOrNorm', 'load', 'DataError'] // opens one; is given to Lars; is told a path by Node; takes a message
const ofTheEngine =
  /Cannot |is not a function|is not iterable|destructure|reading '|\[object Object\]/

const isClass = (f: unknown) => /^class\b/.test(Function.prototype.toString.call(f))

test('no call reads a property of nothing', async () => {
  for (const [name, f] of Object.entries(kindred)) {
    if (typeof f !== 'function' || apart.includes(name)) continue
    for (const given of [[], [5], [5, 5], [{}, {}, {}]]) {
      const act = async () => (isClass(f) ? make(f, ...given) : call(f, ...given))
      const said = await act().then(
        () => '',
        (error: unknown) => String(error),
      )
      assert.not.match(said, ofTheEngine, `${name}(${JSON.stringify(given)})`)
    }
  }
})

test.run()
