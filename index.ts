// kindred: the library, for browsers and Node. Files and Dawn are in 'kindred/node'.

export { type BackwardOptions, type GpuOptions, Gpu } from './engine/gpu.ts'
export type { CaptureOptions, Captured } from './engine/capture.ts'
export type { Given, Input, Upload } from './engine/capture-inputs.ts'
export type { StepResult } from './engine/steps.ts'
export { type OpenOptions, openGpu } from './engine/open.ts'
export { DeviceLostError, GpuError } from './engine/errors.ts'
export {
  type AdamOptions,
  type FlatOptimizer,
  type LarsOptions,
  type Named,
  type Optimizer,
  type SgdOptions,
  Adam,
  AdamW,
  Lars,
  Sgd,
  biasOrNorm,
} from './engine/optimizer.ts'
export { type LossScalerOptions, LossScaler } from './engine/loss-scaler.ts'
export { MovingAverage } from './engine/moving-average.ts'
export { type Schedule, constant, cosine, rising, step, warmup } from './engine/schedule.ts'
export {
  type SafetensorsFile,
  type SavedTensor,
  decodeSafetensors,
  encodeSafetensors,
} from './engine/safetensors.ts'
export { restore, snapshot } from './engine/checkpoint.ts'

export {
  type DType,
  type Kernel,
  type Machine,
  type Op,
  type Activations,
  type Precision,
  type Run,
  type Scalar,
  type Shape,
  type Tensor,
  type Values,
  type Variable,
  ShapeError,
  elementwise,
  flatIndex,
  kernel,
  op,
  wgsl,
} from './kernels/op.ts'
export { adaptiveAvgPool } from './kernels/adaptive-avg-pool.ts'
export { add } from './kernels/add.ts'
export { type Recipe, type Sampling, augment, drawAugmentations } from './kernels/augment.ts'
export {
  type Augmentation,
  type CropBox,
  packAugmentations,
  unpackAugmentations,
} from './kernels/augment-parameters.ts'
export {
  adjustBrightness,
  adjustContrast,
  adjustHue,
  adjustSaturation,
  augmentWith,
  flipHorizontal,
  gaussianBlur,
  normalize,
  resizedCrop,
  toGrayscale,
} from './kernels/augment-functional.ts'
export { cifarRecipe, imagenetRecipe, testTransform } from './kernels/augment-recipes.ts'
export { addPooled } from './kernels/add-pooled.ts'
export { bankUpdate } from './kernels/bank-update.ts'
export { avgPool } from './kernels/avg-pool.ts'
export { type BatchNormOptions, type Running, batchNorm } from './kernels/batch-norm.ts'
export { clip } from './kernels/clip.ts'
export { concat } from './kernels/concat.ts'
export { type ConvNormOptions, convNorm } from './kernels/conv-norm.ts'
export { type Conv2dOptions, conv2d } from './kernels/conv2d.ts'
export { type CrossEntropyOptions, crossEntropy } from './kernels/cross-entropy.ts'
export { type DclwOptions, dcl, dclw } from './kernels/dcl.ts'
export { drawRows } from './kernels/draw-rows.ts'
export { div } from './kernels/div.ts'
export { type DropoutOptions, dropout } from './kernels/dropout.ts'
export { enqueue } from './kernels/enqueue.ts'
export { exp } from './kernels/exp.ts'
export { gather, indexSelect } from './kernels/gather.ts'
export { globalAvgPool } from './kernels/global-avg-pool.ts'
export { infoNce } from './kernels/infonce.ts'
export { l2Normalize } from './kernels/l2-normalize.ts'
export { leakyRelu } from './kernels/leaky-relu.ts'
export { linear } from './kernels/linear.ts'
export { logSoftmax } from './kernels/log-softmax.ts'
export { log } from './kernels/log.ts'
export { logSumExp } from './kernels/logsumexp.ts'
export { type MatmulOptions, matmul } from './kernels/matmul.ts'
export { argmax, max } from './kernels/max.ts'
export { maxPool } from './kernels/max-pool.ts'
export { mean } from './kernels/mean.ts'
export { mul } from './kernels/mul.ts'
export { nceMaps } from './kernels/nce-maps.ts'
export { type Similarities, nce, similarities } from './kernels/nce.ts'
export { ntXent } from './kernels/ntxent.ts'
export { pickPlace } from './kernels/pick-place.ts'
export { relu } from './kernels/relu.ts'
export { reshape } from './kernels/reshape.ts'
export { sigmoid } from './kernels/sigmoid.ts'
export { sigLip } from './kernels/siglip.ts'
export { slice } from './kernels/slice.ts'
export { shuffleOrder } from './kernels/shuffle-order.ts'
export { softplus } from './kernels/softplus.ts'
export { sqrt } from './kernels/sqrt.ts'
export { sub } from './kernels/sub.ts'
export { sum } from './kernels/sum.ts'
export { supCon } from './kernels/supcon.ts'
export { takeImages } from './kernels/take-images.ts'
export { tanh } from './kernels/tanh.ts'
export { translateReflect } from './kernels/translate-reflect.ts'
export { threefry2x32, uniform01 } from './kernels/threefry.ts'
export { transpose } from './kernels/transpose.ts'

export {
  type AmdimEncoder,
  type AmdimEncoderOptions,
  type Scales,
  amdimEncoder,
} from './models/amdim-encoder.ts'
export {
  type Classifiers,
  type ClassifiersOptions,
  classifiers,
  clippedCrossEntropy,
} from './models/classifiers.ts'
export { type HeadOptions, projectionHead } from './models/heads.ts'
export { type V3Options, fcHead, v3Head } from './models/moco-heads.ts'
export { type Parts, type Tower, parametersOf } from './models/parts.ts'
export { through } from './models/tower.ts'
export { MemoryBank } from './models/memory-bank.ts'
export { KeyQueue } from './models/key-queue.ts'
export { type Layer, type Mode, type Model, type NormState, Builder } from './models/layers.ts'
export { type ResNetOptions, resnet18, resnet34, resnet50, resnet8 } from './models/resnet.ts'
export { loadModel, saveModel, variablesOf } from './models/state.ts'
export { type AmdimOptions, amdim, amdimLosses } from './methods/amdim.ts'
export { type AmdimPreset, type AmdimSettings, amdimPresets } from './methods/amdim-presets.ts'
export { type MultiscaleLosses, multiscaleNce } from './methods/multiscale.ts'
export { type ImageBatch, type ImageSource, residentBytes, residentImages } from './methods/image-batch.ts'
export { type MocoOptions, moco } from './methods/moco.ts'
export { type MocoV3Options, mocoV3 } from './methods/moco-v3.ts'
export { type MemoryBankOptions, memoryBank } from './methods/memory-bank.ts'
export { type EndToEndOptions, endToEnd } from './methods/end-to-end.ts'
export type { Views } from './methods/views.ts'
export type { StepOptions } from './methods/batches.ts'
export { type Encode, type Encoded, gradientCache } from './methods/gradient-cache.ts'
export { type SimclrOptions, simclr } from './methods/simclr.ts'
export { type Preset, type SimclrSettings, simclrPresets } from './methods/simclr-presets.ts'
export { type ClassifierOptions, type LabelledBatch, classifier } from './evaluate/classify.ts'
export { type Embeddings, embed, embedSlabs } from './evaluate/embed.ts'
export { type KnnOptions, type KnnResult, accuracy, knn } from './evaluate/knn.ts'
export { type Probe, type ProbeOptions, linearProbe } from './evaluate/linear-probe.ts'
export { type Nearest, type NearestOptions, nearest } from './evaluate/nearest.ts'
export {
  type Regression,
  type RegressionOptions,
  SoftmaxRegression,
  predicted,
  scoresOf,
} from './evaluate/softmax-regression.ts'
