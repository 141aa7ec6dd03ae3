/**
 * What Ultralytics' exports say about a model: a Python dict (temp_meta.txt, among TFLite's associated files) or JSON
 * (metadata.json, in an archive behind the model): names, task, stride, imgsz, who made it.
 * Source: ultralytics/engine/exporter.py (what it writes), data/augment.py (LetterBox, classify_transforms) and
 * utils/ops.py (pixels are divided by 255).
 */
import type { Metadata } from '../graph/graph.ts'
import { parseLabels } from '../answers/label-file.ts'
import { parsePythonLiteral } from '../base/literal.ts'

const TASKS: Record<string, Metadata['task']> = {
  classify: 'classification',
  detect: 'detection',
  obb: 'detection',
  pose: 'landmarks',
  segment: 'segmentation',
}

type Fields = Record<string, unknown>
const isObject = (v: unknown): v is Fields => typeof v === 'object' && v !== null && !Array.isArray(v)

function parsed(text: string): unknown {
  for (const parse of [(t: string): unknown => JSON.parse(t), parsePythonLiteral]) {
    try {
      return parse(text)
    } catch {
      // The other form, or neither.
    }
  }
  return undefined
}

/** Metadata of a text that Ultralytics wrote; undefined for any other text. */
export function ultralyticsMetadata(text: string): Metadata | undefined {
  if (!/^\ufeff?\s*\{/.test(text)) return undefined
  const value = parsed(text.replace(/^\ufeff/, ''))
  // Labels alone are a label file.
  if (!isObject(value) || !(isObject(value.names) || Array.isArray(value.names))) return undefined
  if (value.stride === undefined && value.task === undefined && value.imgsz === undefined) return undefined
  const out: Metadata = {}
  for (const key of ['description', 'author', 'version', 'license'] as const) {
    if (typeof value[key] === 'string') out[key] = value[key]
  }
  out.labels = parseLabels(JSON.stringify(value.names))
  const said = typeof value.task === 'string' ? value.task : undefined
  const task = said !== undefined && Object.hasOwn(TASKS, said) ? TASKS[said] : undefined
  if (task) out.task = task
  const classify = said === 'classify'
  const stretched = /rt-?detr/i.test(out.description ?? '')
  out.preprocess = {
    fit: classify ? 'crop' : stretched ? 'stretch' : 'fit',
    method: classify ? 'bilinear' : 'bilinear-fast',
    channels: 'rgb',
    mean: [0],
    std: [255],
  }
  out.preprocessFrom = `as Ultralytics does, whose model the file says it is: pixel / 255, ${classify ? 'centre crop' : stretched ? 'stretched' : 'the whole image between bars'}`
  if (classify) out.scores = 'identity'
  const { stride, imgsz, kpt_shape: keypoints } = value
  const whole = (v: unknown): boolean => Number.isInteger(v) && (v as number) > 0
  const pair = (v: unknown): boolean => Array.isArray(v) && v.length === 2 && v.every(whole)
  out.extra = {
    ...(pair(keypoints) ? { keypoints } : {}),
    ultralytics: {
      ...(said === undefined ? {} : { task: said }),
      ...(whole(stride) ? { stride } : {}),
      ...(pair(imgsz) || whole(imgsz) ? { imgsz } : {}),
    },
  }
  return out
}
