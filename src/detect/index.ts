/** `thimble/detect`: boxes of objects, and faces with their points and attributes. Runs where the runtime runs. */
export { type Box, intersectionOverUnion, nonMaxSuppression, type Candidate } from './boxes.ts'
export { createDetector, type Detection, type Detector, type DetectorOptions } from './detector.ts'
export { type Attribute, createFaceFinder, type Face, type FaceFinder, type FaceModels, type Point } from './faces.ts'
