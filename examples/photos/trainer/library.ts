// What the example uses of the library's data modules.

export { type Dataset, type Split, memoryDataset } from '../../../data/dataset.ts'
export { procedural } from '../../../data/procedural.ts'
