/** `thimble/vision`: boxes, points and masks from the models people have. Runs where the runtime runs. */
export { type Box, intersectionOverUnion, nonMaxSuppression, type Candidate } from './boxes.ts'
export { createDetector, type Detection, type Detector, type DetectorOptions } from './detector.ts'
export { type Attribute, createFaceFinder, type Face, type FaceFinder, type FaceModels, type Point } from './faces.ts'
export type { Head, HeadKind } from './head.ts'
export { headKinds, headOf } from './recognise.ts'
export type { ImageSource, PixelFormat, RawFrame } from './source.ts'
