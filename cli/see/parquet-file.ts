// Features as Parquet: a row of each image, its features as one list.

import type { SchemaElement } from 'hyparquet-writer'
import type { NamedFeatures } from './feature-files.ts'
import { classOf } from './pictures.ts'

const ROWS = 4096 // of a row group

const text = { type: 'BYTE_ARRAY', converted_type: 'UTF8' } as const
const number = { type: 'FLOAT', repetition_type: 'REQUIRED' } as const
const mapped: readonly SchemaElement[] = [
  { name: 'x', ...number },
  { name: 'y', ...number },
]

/** The columns: name, class and half, x and y of a map, and features, a list of FLOAT. */
const schemaOf = (map: Float64Array | null): SchemaElement[] => [
  { name: 'root', num_children: map ? 6 : 4 },
  { name: 'name', ...text, repetition_type: 'REQUIRED' },
  { name: 'class', ...text, repetition_type: 'OPTIONAL' },
  { name: 'half', ...text, repetition_type: 'OPTIONAL' },
  ...(map ? mapped : []),
  {
    ...{ name: 'features', converted_type: 'LIST', logical_type: { type: 'LIST' } },
    ...{ repetition_type: 'REQUIRED', num_children: 1 },
  },
  { name: 'list', repetition_type: 'REPEATED', num_children: 1 },
  { name: 'element', ...number },
]

/** Yields a Parquet file, a row group at a time. */
export async function* parquetOf({ rows, pictures, map, metadata }: NamedFeatures) {
  const { ByteWriter, ParquetWriter } = await import('hyparquet-writer')
  const { features, M, D } = rows
  const writer = new ByteWriter()
  const kvMetadata = Object.entries(metadata).map(([key, value]) => ({ key, value }))
  const file = new ParquetWriter({
    ...{ writer, schema: schemaOf(map), codec: 'UNCOMPRESSED', createdBy: 'kindred', kvMetadata },
  })
  const written = () => {
    const bytes = writer.getBytes().slice()
    writer.index = 0 // offsets in the file go on
    return bytes
  }
  for (let start = 0; start < M; start += ROWS) {
    const places = Array.from({ length: Math.min(ROWS, M - start) }, (_, n) => start + n)
    const column = <T>(name: string, of: (m: number) => T) => ({ name, data: places.map(of) })
    const columnData = [
      column('name', (m) => pictures.names[m] ?? ''),
      column('class', (m) => classOf(pictures, m)),
      column('half', (m) => pictures.halves?.[m]),
      ...(map ? [0, 1].map((axis) => column(axis ? 'y' : 'x', (m) => map[2 * m + axis])) : []),
      column('features', (m) => Array.from(features.subarray(m * D, (m + 1) * D))),
    ]
    await file.write({ columnData, rowGroupSize: ROWS })
    yield written()
  }
  await file.finish()
  yield written()
}
