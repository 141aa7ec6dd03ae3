/**
 * How a detector's int8 file agrees with its float network, both in full: same thresholds, same suppression.
 *
 * Usage: npx tsx tools/zoo/evaluate-boxes.ts MODEL PHOTO… [--every N]
 *   PHOTO      files and folders; none may be a calibration photo
 *   --every N  every Nth photo only
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { imagesIn } from '../../src/cli/files.ts'
import { asModel } from '../../src/float/as-model.ts'
import { decodeImage } from '../../src/image/decode.ts'
import { loadModel } from '../../src/node.ts'
import { cornersOf, overlap } from '../../src/vision/boxes.ts'
import { createDetector } from '../../src/vision/detector.ts'
import { projectRoot } from './fetch.ts'
import { MODELS } from './models.ts'

const SAME = 0.5

const { values, positionals } = parseArgs({ allowPositionals: true, options: { every: { type: 'string' } } })
const [name, ...paths] = positionals
const model = MODELS.find((m) => m.name === name)
if (!model || paths.length === 0) throw new Error('usage: evaluate-boxes.ts MODEL PHOTO…')
const files = paths.flatMap((path) => (/\.\w+$/.test(path) ? [path] : imagesIn(path)))
const photos = files.filter((_, i) => i % Number(values.every ?? 1) === 0)
const float = await createDetector(asModel(await model.float()))
const quantized = await createDetector(await loadModel(join(projectRoot, 'weights', `${model.name}.thimble`)))

let [same, missed, extra, shared, difference] = [0, 0, 0, 0, 0]
for (const photo of photos) {
  const image = decodeImage(readFileSync(photo))
  const left = [...quantized.detect(image)]
  for (const want of float.detect(image)) {
    const fits = left.map((got) => (got.index === want.index ? overlap(cornersOf(got.box), cornersOf(want.box)) : 0))
    const best = fits.indexOf(Math.max(0, ...fits))
    if (best < 0 || fits[best]! < SAME) {
      missed++
      continue
    }
    same++
    shared += fits[best]!
    difference += Math.abs(left[best]!.score - want.score)
    left.splice(best, 1)
  }
  extra += left.length
}
const percent = (part: number, whole: number): string => `${((100 * part) / whole).toFixed(1)} %`
console.log(
  `${model.name}: ${photos.length} photos, ${same + missed} boxes in float; ${percent(same, same + missed)} found again ` +
    `(same class, overlap ${SAME} at least), ${extra} more; overlap ${(shared / same).toFixed(3)}, ` +
    `scores ${(difference / same).toFixed(3)} apart`,
)
