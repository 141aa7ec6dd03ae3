/** What finds whom a landmark network looks at: `--finder`, else the shipped detector of its kind. */
import type { Model } from '../graph/types.ts'
import type { PoseOptions } from '../vision/pose.ts'
import { elements } from '../graph/graph.ts'
import { text } from './args.ts'
import type { Args, OptionSpec } from './command.ts'
import { load, loadOptions } from './models.ts'
import { openModel, shippedModels, shippedPath } from './shipped.ts'

export const FINDER_OPTION: Record<string, OptionSpec> = {
  finder: {
    type: 'string',
    value: 'MODEL',
    help: "finds whom a landmark network looks at (default: MediaPipe's detector where it is here; none: the whole photo)",
  },
}

/** Shipped detectors, by how many numbers MediaPipe's landmark networks give. */
const FINDERS: Readonly<Record<number, string>> = {
  63: 'palm_detector_192',
  165: 'pose_detector_224',
  195: 'pose_detector_224',
  1404: 'blazeface_short_128',
  1434: 'blazeface_short_128',
}

/** The name of the finder for a network; undefined where it has none. */
async function finderName(args: Args, model: Model): Promise<string | undefined> {
  const asked = text(args, 'finder')
  if (asked !== undefined) return asked === 'none' ? undefined : asked
  const { headOf } = await import('../vision/recognise.ts')
  const head = headOf(model)
  const name = head?.kind === 'landmarks' ? FINDERS[elements(model.outputs[head.output]!.shape)] : undefined
  const entry = shippedModels().find((m) => m.name === name)
  return entry && shippedPath(entry) !== undefined ? name : undefined
}

/** The option of `createPoseEstimator` for a loaded network. Errors: `usage/model`, `usage/file`, `usage/option`. */
export async function openFinder(args: Args, model: Model): Promise<Pick<PoseOptions, 'finder'>> {
  const name = await finderName(args, model)
  if (name === undefined) return {}
  const { createPoseEstimator } = await import('../vision/pose.ts')
  return { finder: await createPoseEstimator(await load(openModel(name), loadOptions(args))) }
}
