/** `thimble/vision`: boxes, points and masks from the models people have. Runs where the runtime runs. */
export { type Box, intersectionOverUnion, nonMaxSuppression, type Candidate } from './vision/boxes.ts'
export { createDetector, type Detection, type Detector, type DetectorOptions } from './vision/detector.ts'
export {
  type Attribute,
  createFaceFinder,
  type Face,
  type FaceFinder,
  type FaceModels,
  type FaceOptions,
  type Point,
} from './vision/faces.ts'
export { createLearner } from './learn/index.ts'
export type { BaseModel, ExportOptions, Learner, LearnerOptions, LearnReport, TrainOptions } from './learn/learner.ts'
export type { Double, Doubtful } from './learn/report.ts'
export type { UnknownReport } from './learn/unknown.ts'
export { crop, type Crop, cropAfter, type CropOptions, type Found, type PosePoint } from './vision/found.ts'
export type { Region } from './vision/frame.ts'
export { type Head, type HeadKind, type VisionTask, taskOfHead } from './vision/head.ts'
export {
  classifyStage,
  createStage,
  pipeline,
  type Piped,
  type Pipeline,
  pointStage,
  poseStage,
  type Stage,
} from './vision/pipeline.ts'
export { createPoseEstimator, type Pose, type PoseEstimator, type PoseOptions } from './vision/pose.ts'
export { headKinds, headOf } from './vision/recognise.ts'
export { createSegmenter, type SegmentClass, type Segmentation, type Segmenter } from './vision/segmenter.ts'
export { cosineSimilarity } from './answers/vectors.ts'
export { skeletonOf, type Skeleton } from './vision/skeletons.ts'
export type { ImageSource, PixelFormat, RawFrame } from './image/source.ts'
export type { TurnedBox } from './vision/turned.ts'
export { createTracker, type Trackable, type Tracked, type Tracker, type TrackerOptions } from './vision/tracker.ts'
