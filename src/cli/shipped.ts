/** MODEL on the command line: a file, or the name of a model of weights/manifest.json. */
import { existsSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { ThimbleError } from '../base/errors.ts'
import { readFile } from './files.ts'
import { packageFile } from './package.ts'
import { note } from './report.ts'

/** What was measured of a model, in percent, and of its float original where that was measured too. */
export interface Accuracy {
  /** E.g. `top-1`. */
  measure: string
  percent: number
  float?: number
  /** What it was measured on. */
  on: string
}

/** An entry of weights/manifest.json; paths are relative to weights/. */
export interface ShippedModel {
  name: string
  file: string
  /** What it is for: a task of the metadata, or `faces` for detectors of those. */
  task?: string
  /** What its task uses when no model is named. */
  default?: boolean
  /** In the npm package. */
  packaged?: boolean
  description?: string
  license?: string
  source?: string
  bytes?: number
  /** Height, width. */
  input?: readonly [number, number]
  macs?: number
  arenaBytes?: number
  accuracy?: readonly Accuracy[]
  /** Milliseconds of an inference, one thread, and where. */
  timing?: { ms: number; on: string }
  sample?: string
}

/** A model file's bytes and what to call it. */
export interface ModelFile {
  name: string
  path: string
  bytes: Uint8Array
  shipped?: ShippedModel
}

/** The npm package of the models that this one has no room for: weights/ as a package. */
export const MODELS_PACKAGE = 'thimble-models'

/** Absolute path in weights/. */
export const weightsPath = (path: string): string => fileURLToPath(packageFile(`weights/${path}`))

/** A file of `thimble-models` as Node resolves it, from here or from the current folder. */
function fromModelsPackage(file: string): string | undefined {
  for (const from of [import.meta.url, join(process.cwd(), 'package.json')]) {
    try {
      return createRequire(from).resolve(`${MODELS_PACKAGE}/${file}`)
    } catch {
      // Not installed there.
    }
  }
  return undefined
}

/** Where a shipped model's file is; undefined when it is not here. */
export function shippedPath({ file }: ShippedModel): string | undefined {
  const path = weightsPath(file)
  return existsSync(path) ? path : fromModelsPackage(file)
}

/** The shipped models; none when weights/ is missing. */
export function shippedModels(): ShippedModel[] {
  const path = weightsPath('manifest.json')
  if (!existsSync(path)) return []
  const list = JSON.parse(readFileSync(path, 'utf8')) as ShippedModel[]
  return list.filter((entry) => typeof entry.name === 'string' && typeof entry.file === 'string')
}

/** What a manifest's entry is for. */
export const taskOfShipped = (entry: ShippedModel): string => entry.task ?? 'classification'

/** How to get a model that the npm package does not carry. */
export const howToGet = ({ name }: ShippedModel): string =>
  `npm install ${MODELS_PACKAGE} brings it; in a clone, npm run zoo -- ${name} makes it`

/** The model that a task uses when none is named; undefined when no shipped one is for it. */
export function defaultEntry(task: string): ShippedModel | undefined {
  const fitting = shippedModels().filter((m) => taskOfShipped(m) === task)
  return fitting.find((m) => m.default) ?? fitting[0]
}

/**
 * The shipped model for a task that is used when none is named; faces where the detector of things is not installed,
 * which is said. Errors: `usage/model`.
 */
function defaultModel(task: string): ModelFile {
  const entry = defaultEntry(task)
  if (!entry) {
    throw new ThimbleError('usage/model', `no ${task} model is shipped here`, { hint: 'give one with --model' })
  }
  const faces = task === 'detection' && shippedPath(entry) === undefined ? defaultEntry('faces') : undefined
  if (!faces || shippedPath(faces) === undefined) return openShipped(entry)
  note(
    `looking for faces only: npm install ${MODELS_PACKAGE} brings the detector of 80 kinds of things (${entry.name})`,
  )
  return openShipped(faces)
}

/** Errors: `usage/model` for one that is not here. */
function openShipped(entry: ShippedModel): ModelFile {
  const path = shippedPath(entry)
  if (path === undefined) {
    throw new ThimbleError('usage/model', `${entry.name} is not installed`, {
      hint: `${howToGet(entry)}; thimble models lists what is here`,
    })
  }
  return { name: entry.name, path, bytes: readFile(path), shipped: entry }
}

/** Resolves MODEL: an existing file first, then a shipped name. Errors: `usage/model`, `usage/file`. */
export function openModel(model: string): ModelFile {
  if (existsSync(model)) return { name: model, path: model, bytes: readFile(model) }
  const shipped = shippedModels()
  const entry = shipped.find((m) => m.name === model)
  if (entry) return openShipped(entry)
  throw new ThimbleError('usage/model', `no model file or shipped model is called ${model}`, {
    expected: `a path, or one of: ${
      shipped
        .filter((m) => shippedPath(m) !== undefined)
        .map((m) => m.name)
        .join(', ') || '(no shipped models)'
    }`,
  })
}

/** The model of this name or path, else the shipped one for a task. Errors: `usage/model`, `usage/file`. */
export const modelFor = (name: string | undefined, task: string): ModelFile =>
  name === undefined ? defaultModel(task) : openModel(name)
