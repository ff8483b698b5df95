// kindred: the library, for browsers and Node. kindred/node adds Dawn, files and data sets.

export type { BackwardOptions } from './engine/backward.ts'
export { Gpu } from './engine/gpu.ts'
export type { GpuOptions } from './engine/gpu-rules.ts'
export type { CaptureOptions, Captured } from './engine/capture/capture.ts'
export type { Given, Input, Upload } from './engine/capture/inputs.ts'
export type { StepResult } from './engine/step-result.ts'
export type { TensorBuffer, WrapOptions } from './engine/wrap.ts'
export {
  type About,
  DataError,
  type Dataset,
  type Originals,
  type Skipped,
  type Split,
} from './data/dataset.ts'
export { type ImagesInMemory, memoryDataset } from './data/memory-dataset.ts'
export { type LabelSplit, type LabelSplitOptions, labelSplit } from './data/label-split.ts'
export { type Batch, type BatchOptions, batches, countSteps } from './data/loader.ts'
export { type ProceduralOptions, procedural } from './data/procedural.ts'
export { select, subset } from './data/select.ts'
export type { PageImage } from './images/page-image.ts'
export { type ReadImages, type ReadImagesOptions, readImages } from './images/read-images.ts'
export { type ImageDatasetOptions, imageDataset } from './images/image-dataset.ts'
export { type OpenOptions, openGpu } from './engine/open.ts'
export { kernelsFor } from './engine/kernels-for.ts'
export type { DeviceKernels } from './engine/device-kernels.ts'
export { DeviceLostError, GpuError } from './engine/errors.ts'
export {
  type FlatOptimizer,
  type Named,
  type Optimizer,
  Adam,
  AdamW,
  Lars,
  Sgd,
} from './engine/optim/optimizer.ts'
export {
  type AdamOptions,
  type LarsOptions,
  type SgdOptions,
  biasOrNorm,
} from './engine/optim/optimizer-options.ts'
export type { LarsTreatment, Treat, Treatment } from './engine/optim/treatments.ts'
export { Gradients } from './engine/optim/gradients.ts'
export { type LossScalerOptions, LossScaler } from './engine/optim/loss-scaler.ts'
export { MovingAverage } from './engine/optim/moving-average.ts'
export {
  type Schedule,
  constant,
  cosine,
  cosineRamp,
  multiStep,
  warmup,
} from './engine/optim/schedule.ts'
export {
  type SafetensorsFile,
  type SavedTensor,
  decodeSafetensors,
  encodeSafetensors,
} from './engine/safetensors.ts'
export {
  type KernelTime,
  type ProfileOptions,
  type ProfiledDispatch,
  type Profile,
  profile,
} from './engine/debug/profile.ts'
export type { DispatchOrigin, LayerTime } from './engine/debug/layer-times.ts'
export { type FindNaNOptions, type NonFinite, findNaN } from './engine/debug/find-nan.ts'
export {
  type TensorKind,
  type TraceOptions,
  type TraceRow,
  type OpTrace,
  trace,
} from './engine/debug/trace.ts'
export { encodeNpy } from './engine/npy.ts'
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
export { abs } from './kernels/elementwise/abs.ts'
export { adaptiveAvgPool } from './kernels/pool/adaptive-avg-pool.ts'
export { add } from './kernels/elementwise/add.ts'
export {
  type Recipe,
  type Sampling,
  augment,
  drawAugmentations,
} from './kernels/augment/augment.ts'
export {
  type Augmentation,
  type CropBox,
  packAugmentations,
  unpackAugmentations,
} from './kernels/augment/parameters.ts'
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
} from './kernels/augment/functional.ts'
export {
  cifarRecipe,
  cropAndFlip,
  imagenetRecipe,
  testTransform,
} from './kernels/augment/recipes.ts'
export { addPooled } from './kernels/pool/add-pooled.ts'
export { bankUpdate } from './kernels/state/bank-update.ts'
export { assign } from './kernels/state/assign.ts'
export { type AttentionOptions, attention } from './kernels/attention/attention.ts'
export { avgPool } from './kernels/pool/avg-pool.ts'
export { type AlignmentOptions, alignment } from './kernels/loss/alignment.ts'
export { type BatchNormOptions, type Running, batchNorm } from './kernels/norm/batch-norm.ts'
export { chunk } from './kernels/shape/chunk.ts'
export { type ClampOptions, clamp } from './kernels/elementwise/clamp.ts'
export { type Castable, cast } from './kernels/elementwise/cast.ts'
export { clipLoss } from './kernels/loss/clip-loss.ts'
export { concat } from './kernels/shape/concat.ts'
export { type ConvNormOptions, convNorm } from './kernels/conv/conv-norm.ts'
export { type ResidualUnitOptions, residualUnit } from './kernels/conv/residual-unit.ts'
export { type Conv2dOptions, conv2d } from './kernels/conv/conv2d.ts'
export { type CrossEntropyOptions, crossEntropy } from './kernels/loss/cross-entropy.ts'
export { type DclwOptions, dcl, dclw } from './kernels/loss/dcl.ts'
export { drawRows } from './kernels/state/draw-rows.ts'
export { div } from './kernels/elementwise/div.ts'
export { dropPath } from './kernels/elementwise/drop-path.ts'
export { type MaskOptions, dropout } from './kernels/elementwise/dropout.ts'
export { type Draws, drawOf, drawParams } from './kernels/wgsl/draws.ts'
export { enqueue } from './kernels/state/enqueue.ts'
export { exp } from './kernels/elementwise/exp.ts'
export { expand } from './kernels/shape/expand.ts'
export { gather, indexSelect } from './kernels/shape/gather.ts'
export { type GeluOptions, gelu } from './kernels/elementwise/gelu.ts'
export { globalAvgPool } from './kernels/pool/global-avg-pool.ts'
export { groupNorm } from './kernels/norm/group-norm.ts'
export { infoNce } from './kernels/loss/infonce.ts'
export { l2Normalize } from './kernels/reduce/l2-normalize.ts'
export { layerNorm } from './kernels/norm/layer-norm.ts'
export { leakyRelu } from './kernels/elementwise/leaky-relu.ts'
export { linear } from './kernels/matmul/linear.ts'
export { logSoftmax } from './kernels/reduce/log-softmax.ts'
export { log } from './kernels/elementwise/log.ts'
export { logSumExp } from './kernels/reduce/logsumexp.ts'
export { type MatmulOptions, matmul } from './kernels/matmul/matmul.ts'
export { argmax, max } from './kernels/reduce/max.ts'
export { maximum } from './kernels/elementwise/maximum.ts'
export { maxPool } from './kernels/pool/max-pool.ts'
export { mean } from './kernels/reduce/mean.ts'
export { lengthsOf, meanRows } from './kernels/reduce/mean-rows.ts'
export { minimum } from './kernels/elementwise/minimum.ts'
export { mul } from './kernels/elementwise/mul.ts'
export { neg } from './kernels/elementwise/neg.ts'
export { nceMaps } from './kernels/loss/nce-maps.ts'
export { type Similarities, nce, similarities } from './kernels/loss/nce.ts'
export { ntXent } from './kernels/loss/ntxent.ts'
export type { Temperature } from './kernels/loss/temperature.ts'
export { type PadWidth, pad } from './kernels/shape/pad.ts'
export { selectPosition } from './kernels/shape/select-position.ts'
export { relu } from './kernels/elementwise/relu.ts'
export { type Fit } from './kernels/resample/fit.ts'
export { type ResizeOptions, resizeImages } from './kernels/resample/resize-images.ts'
export { reshape } from './kernels/shape/reshape.ts'
export { sigmoid } from './kernels/elementwise/sigmoid.ts'
export { sigLip } from './kernels/loss/siglip.ts'
export { slice } from './kernels/shape/slice.ts'
export { shuffleOrder } from './kernels/state/shuffle-order.ts'
export { softmax } from './kernels/reduce/softmax.ts'
export { softplus } from './kernels/elementwise/softplus.ts'
export { sqrt } from './kernels/elementwise/sqrt.ts'
export { square } from './kernels/elementwise/square.ts'
export { sub } from './kernels/elementwise/sub.ts'
export { sum } from './kernels/reduce/sum.ts'
export { supCon } from './kernels/loss/supcon.ts'
export { takeImages } from './kernels/shape/take-images.ts'
export { tanh } from './kernels/elementwise/tanh.ts'
export { translateReflect } from './kernels/augment/translate-reflect.ts'
export { topK } from './kernels/reduce/top-k.ts'
export { threefry2x32, uniform01 } from './kernels/wgsl/threefry.ts'
export { transpose } from './kernels/shape/transpose.ts'
export { type UniformityOptions, uniformity } from './kernels/loss/uniformity.ts'
export { type VarianceOptions, variance } from './kernels/reduce/variance.ts'
export { where } from './kernels/elementwise/where.ts'

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
export { type MlpOptions, mlp } from './models/mlp.ts'
export { type SignalOptions, signalEncoder } from './models/signal.ts'
export { type BagOptions, type TextOptions, bagOfTokens, textTransformer } from './models/text.ts'
export { type Tokens, byteTokens, byteVocabulary } from './models/tokens.ts'
export { type ViTOptions, type ViTSizes, vit, vitSmall, vitTiny } from './models/vit.ts'
export {
  type ConvNeXtOptions,
  type ConvNeXtSizes,
  convNeXt,
  convNeXtTiny,
} from './models/convnext.ts'
export { drawnAhead } from './models/drawn-ahead.ts'
export { type OnnxOptions, exportOnnx } from './models/export-onnx.ts'
export { preparationOf } from './kernels/augment/preparation.ts'
export { type HeadOptions, projectionHead } from './models/heads.ts'
export { type MocoV3HeadOptions, mocoHead, mocoV3Head } from './models/moco-heads.ts'
export { type Parts, type Tower, parametersOf } from './models/parts.ts'
export { forwardTower } from './models/tower.ts'
export { MemoryBank } from './models/memory-bank.ts'
export { KeyQueue } from './models/key-queue.ts'
export { Builder } from './models/builder.ts'
export { type Layer, type Mode, type Model, type NormState, drawsOf } from './models/model.ts'
export { type Imported, type ImportOptions, importModel } from './models/import-model.ts'
export { type LossScale, lossScale } from './models/loss-scale.ts'
export { type ResNetOptions, resnet18, resnet34, resnet50, resnet8 } from './models/resnet.ts'
export { type SummaryOptions, type Summary, type SummaryRow, summary } from './models/summary.ts'
export { loadModel, saveModel, variablesOf } from './models/state.ts'
export { type AmdimOptions, amdim, amdimLosses } from './methods/amdim.ts'
export { type AmdimPreset, amdimPresets } from './methods/presets/amdim.ts'
export type { AmdimSettings } from './methods/presets/amdim-rules.ts'
export { type MultiscaleLosses, multiscaleNce } from './methods/multiscale.ts'
export {
  type ImageBatch,
  type ImageSource,
  residentBytes,
  residentImages,
} from './methods/image-batch.ts'
export { type MocoOptions, moco } from './methods/moco.ts'
export { type MocoV3Options, mocoV3 } from './methods/moco-v3.ts'
export { type MemoryBankOptions, memoryBank } from './methods/memory-bank.ts'
export { type EndToEndOptions, endToEnd } from './methods/end-to-end.ts'
export type { ViewOf, Views } from './methods/views.ts'
export type { StepOptions } from './methods/step-options.ts'
export type { Algorithm, Learner, MethodOptions } from './methods/method.ts'
export {
  type ContrastiveLoss,
  type ContrastiveLossName,
  type LossInputs,
  contrastiveLosses,
} from './methods/contrastive-losses.ts'
export { type Encode, type Encoded, gradientCache } from './methods/gradient-cache.ts'
export { type SimclrOptions, simclr } from './methods/simclr.ts'
export { type Preset, type SimclrSettings, simclrPresets } from './methods/presets/simclr.ts'
export { type ClassifierOptions, type LabelledBatch, classifier } from './evaluate/classify.ts'
export {
  type LinearHead,
  type LinearProtocol,
  type LinearProtocolName,
  linearProtocols,
} from './evaluate/linear-protocols.ts'
export { type FineTunerOptions, fineTuner } from './evaluate/fine-tune.ts'
export {
  type ChosenNeighbours,
  type NeighbourOptions,
  chooseNeighbours,
} from './evaluate/choose-neighbours.ts'
export { type Embeddings, embed, embedSlabs } from './evaluate/embed.ts'
export { type KnnOptions, knn } from './evaluate/knn.ts'
export { accuracy } from './evaluate/accuracy.ts'
export {
  type ClassificationReport,
  type ReportOptions,
  classificationReport,
} from './evaluate/measure/classification-report.ts'
export { type RocCurve, rocCurve } from './evaluate/measure/roc-curve.ts'
export {
  type Spectrum,
  type SpectrumOptions,
  spectrum,
  spreadOfUnitRows,
} from './evaluate/measure/spectrum.ts'
export { type Pca, type PcaOptions, pca } from './evaluate/measure/pca.ts'
export { type Umap, type UmapOptions, umap } from './evaluate/measure/umap.ts'
export { type Ridge, type RidgeOptions, ridgeClassifier } from './evaluate/ridge.ts'
export { type KCentre, type KCentreOptions, kCentre } from './evaluate/curate/k-centre.ts'
export { type OutlierOptions, type Outliers, outliers } from './evaluate/curate/outliers.ts'
export { type Typical, type TypicalOptions, mostTypical } from './evaluate/curate/most-typical.ts'
export {
  type DuplicateOptions,
  type Duplicates,
  nearDuplicates,
} from './evaluate/curate/near-duplicates.ts'
export type { KnnResult } from './evaluate/knn-result.ts'
export { type Probe, type ProbeOptions, linearProbe } from './evaluate/linear-probe.ts'
export { type BankOptions, type ResidentBank, residentBank } from './evaluate/bank.ts'
export { type Nearest, type NearestOptions, nearest } from './evaluate/nearest.ts'
export type { FeatureRows } from './evaluate/slabs.ts'
export { type Regression, predicted, scoresOf } from './evaluate/regression.ts'
export { type RegressionOptions, SoftmaxRegression } from './evaluate/softmax-regression.ts'
export {
  type Embedder,
  type EmbedderOptions,
  type PixelImages,
  openEmbedder,
} from './serving/embedder.ts'
export { ClosedError, QueueFullError } from './serving/errors.ts'
export type { Percentiles } from './serving/durations.ts'
export type { RequestOptions, ServiceLimits } from './serving/limits.ts'
export { type Searcher, type SearcherOptions, openSearcher } from './serving/searcher.ts'
export type { ServiceStats } from './serving/service.ts'
export { type BackgroundOptions, trainInBackground } from './training/background.ts'
export type { EncoderLayer, SavedEncoder } from './training/encoder.ts'
export { type ConfigOptions, configOf } from './training/config.ts'
export type { OpenGpu } from './training/devices.ts'
export { type PackOptions, packRun } from './training/pack.ts'
export { type UnpackOptions, unpackRun } from './training/unpack.ts'
export { decodeImages, encodeImages } from './training/run-images.ts'
export { type CheckedRun, type UncheckedRun, checkedRun } from './training/checked-run.ts'
export { MemoryStorage } from './training/memory-storage.ts'
export type { Metric } from './training/metrics.ts'
export type { Outcome } from './training/outcome.ts'
export type { Evaluate } from './training/prepare.ts'
export type { TrainingEvent } from './training/progress.ts'
export type { TrainConfig } from './training/run-schema.ts'
export type { Checkpoint, TrainingStorage } from './training/storage.ts'
export { type TrainOptions, train } from './training/train.ts'
export type { StoredRun } from './page-runs/stored-run.ts'
export {
  type StoredRunInfo,
  type StoredRunOptions,
  removeRun,
  storeRun,
  storedRun,
  storedRuns,
} from './page-runs/stored-runs.ts'
