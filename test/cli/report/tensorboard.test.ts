// Tests TensorBoard's event files.

import { mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { maskedCrc, scalarRecord, versionRecord } from '../../../cli/report/event-file.ts'
import { scalarsOf, writeEvents } from '../../../cli/report/tensorboard.ts'
import { createRun, resumeRun } from '../../../run-folder/open.ts'

const test = suite('tensorboard')
const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex')

test('computes the CRC-32C of RFC 3720, masked', () => {
  const mask = (crc: number) => (((crc >>> 15) | (crc << 17)) + 0xa282ead8) >>> 0
  assert.is(maskedCrc(new Uint8Array(32)), mask(0x8a9136aa)) // RFC 3720, appendix B.4
  assert.is(maskedCrc(new Uint8Array(32).fill(255)), mask(0x62a8ab43))
  assert.is(maskedCrc(new TextEncoder().encode('123456789')), mask(0xe3069283))
})

test('frames protocol buffers with the fields of event.proto and summary.proto', () => {
  const version = versionRecord(1.5)
  const data = version.subarray(12, -4)
  // 1: double 1.5; 3: 'brain.Event:2'
  const written = `09000000000000f83f1a0d${Buffer.from('brain.Event:2').toString('hex')}`
  assert.is(hex(data), written)
  const view = new DataView(version.buffer)
  assert.is(Number(view.getBigUint64(0, true)), data.length)
  assert.is(view.getUint32(8, true), maskedCrc(version.subarray(0, 8)))
  assert.is(view.getUint32(version.length - 4, true), maskedCrc(data))
  const record = scalarRecord({ time: 1.5, step: 300, values: { loss: 0.5, lr: 2 } })
  const summary = '0a0b0a046c6f7373150000003f0a090a026c721500000040'
  assert.is(hex(record.subarray(12, -4)), `09000000000000f83f10ac022a18${summary}`)
})

test('writes the numbers of metrics, with those from before in the first file', async () => {
  const metric = { step: 2, loss: 1, terms: { a: 3, b: null }, lr: 0.1, changed: {}, skipped: true }
  assert.equal(scalarsOf(metric), { loss: 1, 'terms/a': 3, lr: 0.1 })
  const dir = mkdtempSync(join(tmpdir(), 'kindred-'))
  const run = await createRun(join(dir, 'a'), {})
  run.append({ step: 1, loss: 5 })
  const end = await writeEvents(run, () => 1.5)
  run.append(metric)
  end()
  run.append({ step: 3, loss: 0 })
  await run.close()
  const again = await resumeRun(join(dir, 'a'))
  const endAgain = await writeEvents(again, () => 2.5)
  again.append({ step: 4, loss: 0 })
  endAgain()
  await again.close()
  const folder = join(dir, 'a', 'tensorboard')
  const files = readdirSync(folder).sort()
  const bytes = files.map((name) => hex(readFileSync(join(folder, name))))
  const expected = [
    [
      versionRecord(1.5),
      scalarRecord({ time: 1.5, step: 1, values: { loss: 5 } }),
      scalarRecord({ time: 1.5, step: 2, values: scalarsOf(metric) }),
    ],
    [versionRecord(2.5), scalarRecord({ time: 2.5, step: 4, values: { loss: 0 } })],
  ]
  assert.equal(
    bytes,
    expected.map((records) => records.map(hex).join('')),
  )
  rmSync(dir, { recursive: true })
})

test.run()
