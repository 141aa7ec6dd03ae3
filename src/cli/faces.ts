/** `thimble faces`: the faces in photos, with points, age, gender and expression. */
import type { Model } from '../graph/types.ts'
import type { Face, FaceModels } from '../vision/faces.ts'
import { flag, text } from './args.ts'
import type { Args, Command } from './command.ts'
import { load, loadOptions, RUN_OPTIONS } from './models.ts'
import { modelFor, openModel } from './shipped.ts'
import { printedFace } from '../vision/printed.ts'
import { boxLine, CROP_OPTION, eachPhoto, limits, PHOTO_NOTES, PHOTO_OPTIONS } from './photos.ts'

/** Shipped networks for what comes after the detector. */
const LANDMARKS = 'face_landmarks_68_112'
const AGE_GENDER = 'face_age_gender_112'
const EXPRESSION = 'face_expression_112'

async function run(args: Args): Promise<number> {
  const model = modelFor(text(args, 'model'), 'faces')
  return eachPhoto(args, { command, model }, async () => {
    const [{ createFaceFinder }, { annotate }] = await Promise.all([
      import('../vision/faces.ts'),
      import('../draw/annotate.ts'),
    ])
    const others = await openFaces(args)
    const finder = await createFaceFinder({ detector: await load(model, loadOptions(args)), ...others }, limits(args))
    return (image) => {
      const faces = finder.find(image)
      return {
        json: { faces: faces.map(printedFace) },
        lines: faces.length ? faces.map((f) => boxLine(f, f.label.length, about(f))) : ['  no face'],
        timings: { ...finder.timings },
        picture: () => annotate(image, faces),
        crops: faces,
      }
    }
  })
}

/** The networks for what comes after the detector. */
export async function openFaces(args: Args): Promise<Omit<FaceModels, 'detector'>> {
  const open = (name: string): Promise<Model> => load(openModel(name), loadOptions(args))
  const landmarks = await open(text(args, 'landmarks') ?? LANDMARKS)
  if (flag(args, 'no-attributes')) return { landmarks }
  return { landmarks, ageGender: await open(AGE_GENDER), expression: await open(EXPRESSION) }
}

/** `female 88 %, age 29, happy 100 %`. */
const about = (f: Face): string =>
  [
    f.gender ? `${f.gender.label} ${Math.round(f.gender.score * 100)} %` : '',
    f.age === undefined ? '' : `age ${Math.round(f.age)}`,
    f.expression ? `${f.expression.label} ${Math.round(f.expression.score * 100)} %` : '',
  ]
    .filter(Boolean)
    .join(', ')

export const command: Command = {
  name: 'faces',
  summary: 'Finds the faces in photos: box, 68 points, age, gender and expression of each.',
  usage: 'faces [PHOTO...] [--model MODEL] [--threshold T] [--top N] [--json] [--out FILE.png] [--crop DIR]',
  options: {
    model: { type: 'string', short: 'm', value: 'MODEL', help: 'the face detector (default: face_detector_tiny_416)' },
    landmarks: { type: 'string', value: 'MODEL', help: `the network for the points (default: ${LANDMARKS})` },
    'no-attributes': { type: 'boolean', help: 'only boxes and points' },
    threshold: {
      type: 'string',
      value: 'SCORE',
      help: "leave out faces that score below this, 0 to 1 (default: the detector's own)",
      check: limits,
    },
    top: { type: 'string', short: 'n', value: 'N', help: 'most faces per photo (default: 100)', check: limits },
    ...PHOTO_OPTIONS,
    ...CROP_OPTION,
    ...RUN_OPTIONS,
  },
  notes: `${PHOTO_NOTES}\nAge, gender and expression are what a small network makes of a picture: impressions, not facts about a person.`,
  run,
}
