// kindred/node: all of kindred, and Dawn, files and data sets. Its openGpu opens a GPU through
// Dawn.

export * from './index.ts'
export { type NodeOptions, openGpu } from './engine/node.ts'
export { type NodeGpuOptions, NodeGpu as Gpu } from './engine/node-gpu.ts'
export { load, save } from './engine/node-files.ts'
export { saveNpy } from './engine/npy-file.ts'
export { type OpenDataOptions, openData } from './data/open.ts'
export {
  type EmbeddedImage,
  type ImageEmbedder,
  type ImageEmbedderOptions,
  embedder,
} from './run-folder/embedder.ts'
export type { ImageFileBytes, ImageFileSource } from './run-folder/image-source.ts'
export { type EncoderOptions, type OpenedEncoder, openEncoder } from './run-folder/saved-encoder.ts'
export {
  type FineTuned,
  type OpenedClassifier,
  encodeClassifier,
  openClassifier,
} from './run-folder/saved-classifier.ts'
export { runFolder } from './run-folder/open.ts'
export { type RunFolder } from './run-folder/run-folder.ts'
