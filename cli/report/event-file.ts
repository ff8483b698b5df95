// TensorBoard's event files: each record a protocol buffer in TFRecord's frame.
//
//   record  = length u64, masked CRC of length u32, data, masked CRC of data u32, little-endian
//   masked  = ((crc >>> 15) | (crc << 17)) + 0xa282ead8, crc = CRC-32C
//             (tensorflow, record_writer.h)
//   Event   = 1: wall_time double, 2: step int64, 3: file_version string, 5: Summary
//   Summary = 1: repeated Value, Value = 1: tag string, 2: simple_value float
// Fields: tensorflow/core/util/event.proto and tensorflow/core/framework/summary.proto.

import crc32c from 'crc-32/crc32c.js'
import Pbf from 'pbf'

const HEAD = 12 // bytes: length and its CRC

/** Numbers of a step by name. */
export interface Scalars {
  /** Seconds since 1970. */
  readonly time: number
  readonly step: number
  readonly values: Readonly<Record<string, number>>
}

/** Encodes the first record of an event file. */
export const versionRecord = (time: number): Uint8Array =>
  recordOf((event) => {
    event.writeDoubleField(1, time)
    event.writeStringField(3, 'brain.Event:2')
  })

/** Encodes the numbers of a step as one record. */
export const scalarRecord = ({ time, step, values }: Scalars): Uint8Array =>
  recordOf((event) => {
    event.writeDoubleField(1, time)
    event.writeVarintField(2, step)
    event.writeMessage(5, writeSummary, values)
  })

function writeSummary(values: Scalars['values'], summary: Pbf) {
  for (const value of Object.entries(values)) summary.writeMessage(1, writeValue, value)
}

function writeValue([tag, number]: readonly [string, number], value: Pbf) {
  value.writeStringField(1, tag)
  value.writeFloatField(2, number)
}

/** Frames a protocol buffer. */
function recordOf(write: (event: Pbf) => void): Uint8Array {
  const event = new Pbf()
  write(event)
  const data = event.finish()
  const record = new Uint8Array(HEAD + data.length + 4)
  const view = new DataView(record.buffer)
  view.setBigUint64(0, BigInt(data.length), true)
  view.setUint32(8, maskedCrc(record.subarray(0, 8)), true)
  record.set(data, HEAD)
  view.setUint32(HEAD + data.length, maskedCrc(data), true)
  return record
}

/** TFRecord's CRC-32C: rotated and shifted, so that a CRC may itself be checked. */
export function maskedCrc(bytes: Uint8Array): number {
  const crc = crc32c.buf(bytes) >>> 0
  return (((crc >>> 15) | (crc << 17)) + 0xa282ead8) >>> 0
}
