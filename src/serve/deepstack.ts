/** The routes of DeepStack and CodeProject.AI, which Blue Iris, Frigate, Agent DVR and Home Assistant call. */
import type { Incoming } from './exchange.ts'
import type { PictureAnswer, TaskName } from './questions.ts'
import { allow, Refusal } from './refusal.ts'

interface Scored {
  label: string
  score: number
  box?: { x: number; y: number; width: number; height: number }
}

/** What the routes need of the application. */
export interface DeepStackHost {
  version: string
  /** Names of the models, and of those that find things. */
  models: readonly string[]
  detectors: readonly string[]
  /** Asks the picture of a request; what scores below `least` is left out where the client says nothing. */
  ask(task: TaskName, least: number | undefined, named?: string): Promise<PictureAnswer>
  /** Reads the body of a request that has no picture. */
  drain(): Promise<unknown>
}

/** DeepStack's own threshold. */
const LEAST = 0.4

/** Boxes in corners of whole pixels, best first: Frigate stops at the first one below its own threshold. */
const predictions = (found: readonly Scored[]): object[] =>
  [...found]
    .sort((a, b) => b.score - a.score)
    .map(({ label, score, box }) => ({
      label,
      confidence: score,
      y_min: Math.round(box!.y),
      x_min: Math.round(box!.x),
      y_max: Math.round(box!.y + box!.height),
      x_max: Math.round(box!.x + box!.width),
    }))

function boxes({ timings }: PictureAnswer, list: readonly Scored[]): object {
  const { decodeMs, preprocessMs, inferMs } = timings
  const found = predictions(list)
  const labels = list.slice(0, 5).map((d) => d.label)
  return {
    success: true,
    message: found.length ? `Found ${labels.join(', ')}` : 'No objects found',
    count: found.length,
    predictions: found,
    inferenceMs: Math.round(inferMs),
    processMs: Math.round(decodeMs + preprocessMs + inferMs),
    code: 200,
    command: 'detect',
  }
}

/** Errors: 404 for a route that is none, and for faces of known people. */
export async function deepstack(request: Incoming, path: string, host: DeepStackHost): Promise<object> {
  if (/^\/v1\/(server\/)?status\/(ping|version|list)$/.test(path)) {
    const { version, models } = host
    const [major = 0, minor = 0, patch = 0] = version.split('.').map(Number)
    return { success: true, message: `thimble ${version}`, version: { major, minor, patch }, models }
  }
  const [, kind, name] = /^\/v1\/vision\/(detection|face|scene|custom)(?:\/([^/]+))?$/.exec(path) ?? []
  if (kind === undefined) throw new Refusal(404, 'not-found', 'no such route')
  allow(request, 'POST')
  if (kind === 'custom' && name === 'list') {
    await host.drain()
    return { success: true, models: host.detectors }
  }
  if (kind === 'scene' && !name) {
    const { fields } = await host.ask('classify', undefined)
    const [best] = fields.predictions as Scored[]
    return { success: true, label: best?.label ?? 'unknown', confidence: best?.score ?? 0 }
  }
  if (kind === 'face' && !name) {
    const answer = await host.ask('faces', LEAST)
    return boxes(answer, answer.fields.faces as Scored[])
  }
  if (kind === 'face' && name === 'list') return { success: true, faces: [] }
  if (kind === 'face') throw new Refusal(404, 'not-here', 'faces are found here, not registered or recognized')
  if ((kind === 'detection') === (name === undefined) && kind !== 'scene') {
    const answer = await host.ask('detect', LEAST, name === undefined ? undefined : decodeURIComponent(name))
    return boxes(answer, answer.fields.detections as Scored[])
  }
  throw new Refusal(404, 'not-found', 'no such route')
}
