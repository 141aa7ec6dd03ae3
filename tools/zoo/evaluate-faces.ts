/**
 * The shipped face networks against their float originals, on photos that were not used to calibrate.
 *
 * Usage: npx tsx tools/zoo/evaluate-faces.ts [PHOTO...] [--json]     (default: two photos of the package)
 */
import { readFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { parseArgs } from 'node:util'
import { cornersOf, overlap } from '../../src/vision/boxes.ts'
import { createFaceFinder, type Face, type FaceModels } from '../../src/vision/faces.ts'
import { asModel } from '../../src/float/as-model.ts'
import { decodeImage } from '../../src/image/decode.ts'
import { loadModel } from '../../src/node.ts'
import type { Model, PixelImage } from '../../src/graph/types.ts'
import { demoPhotos, floatFaceModels, faceGraph } from './faces.ts'
import { projectRoot } from './fetch.ts'

const shipped = (name: string): Promise<Model> => loadModel(join(projectRoot, 'weights', `${name}.thimble`))
const iou = (a: Face, b: Face): number => overlap(cornersOf(a.box), cornersOf(b.box))
const mean = (v: readonly number[]): number => v.reduce((a, b) => a + b, 0) / v.length
const round = (v: number, digits = 3): number => Number(v.toFixed(digits))

/** Pairs each float face with the int8 face that overlaps it most. */
function pairs(
  float: readonly Face[],
  int8: readonly Face[],
): { pairs: [Face, Face][]; missed: Face[]; extra: number } {
  const left = new Set(int8)
  const out: [Face, Face][] = []
  const missed: Face[] = []
  for (const f of float) {
    const best = [...left].sort((a, b) => iou(f, b) - iou(f, a))[0]
    if (best && iou(f, best) >= 0.5) {
      out.push([f, best])
      left.delete(best)
    } else missed.push(f)
  }
  return { pairs: out, missed, extra: left.size }
}

/** Mean distance of the points, as a share of the box's diagonal. */
function pointDistance([f, q]: [Face, Face]): number {
  return (
    mean(f.points!.map(([x, y], i) => Math.hypot(x - q.points![i]![0], y - q.points![i]![1]))) /
    Math.hypot(f.box.width, f.box.height)
  )
}

async function compare(
  photos: readonly PixelImage[],
  float: FaceModels,
  int8: FaceModels,
): Promise<Record<string, number>> {
  const [reference, finder] = [await createFaceFinder(float), await createFaceFinder(int8)]
  const all: [Face, Face][] = []
  let [missed, extra] = [0, 0]
  for (const photo of photos) {
    const matched = pairs(reference.find(photo), finder.find(photo))
    all.push(...matched.pairs)
    missed += matched.missed.length
    extra += matched.extra
  }
  const out: Record<string, number> = {
    faces: all.length,
    missed,
    extra,
    meanIou: round(mean(all.map(([f, q]) => iou(f, q)))),
    minIou: round(Math.min(...all.map(([f, q]) => iou(f, q)))),
    scoreDifference: round(mean(all.map(([f, q]) => Math.abs(f.score - q.score)))),
  }
  if (int8.landmarks) {
    out.pointDistance = round(mean(all.map(pointDistance)), 4)
    out.maxPointDistance = round(Math.max(...all.map(pointDistance)), 4)
  }
  if (int8.ageGender) {
    out.ageDifference = round(mean(all.map(([f, q]) => Math.abs(f.age! - q.age!))), 2)
    out.sameGender = all.filter(([f, q]) => f.gender!.label === q.gender!.label).length
  }
  if (int8.expression) out.sameExpression = all.filter(([f, q]) => f.expression!.label === q.expression!.label).length
  return out
}

const { values, positionals } = parseArgs({ allowPositionals: true, options: { json: { type: 'boolean' } } })
const photos = positionals.length ? positionals.map((p) => decodeImage(readFileSync(p))) : demoPhotos('evaluation')
const float = floatFaceModels('ssd-detector')
const rest = {
  landmarks: await shipped('face_landmarks_68_112'),
  ageGender: await shipped('face_age_gender_112'),
  expression: await shipped('face_expression_112'),
}
const result = {
  photos: positionals.length ? positionals.map((p) => basename(p)) : ['demo/sample5.jpg', 'demo/sample6.jpg'],
  // The networks after the detector on the very same crops, then everything in int8.
  onFloatBoxes: await compare(photos, float, { detector: float.detector, ...rest }),
  tinyLandmarksOnFloatBoxes: await compare(
    photos,
    { detector: float.detector, landmarks: asModel(faceGraph('landmarks-tiny')) },
    { detector: float.detector, landmarks: await shipped('face_landmarks_68_tiny_112') },
  ),
  tiny: await compare(photos, floatFaceModels('tiny-detector'), {
    detector: await shipped('face_detector_tiny_416'),
    ...rest,
  }),
  ssd: await compare(photos, float, { detector: await shipped('face_detector_ssd_mobilenet_v1_512'), ...rest }),
}
if (values.json) console.log(JSON.stringify(result, null, 2))
else {
  for (const [name, row] of Object.entries(result)) {
    console.log(
      `${name.padEnd(26)}${
        Array.isArray(row)
          ? row.join(', ')
          : Object.entries(row)
              .map(([k, v]) => `${k} ${v}`)
              .join(', ')
      }`,
    )
  }
}
