/** Where a model's file is: a path, or a name of those that come with thimble or thimble-models. */
import { existsSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, isAbsolute, join } from 'node:path'

const KINDS = { classify: 'classification', detect: 'detection', pose: 'pose', segment: 'segmentation', faces: 'faces' }

/** Folders with a manifest.json and models. */
function shelves(folders) {
  const found = []
  for (const folder of folders) {
    const { resolve } = createRequire(join(folder, 'package.json'))
    for (const [file, below] of [
      ['thimble/package.json', 'weights'],
      ['thimble-models/manifest.json', ''],
    ]) {
      try {
        found.push(join(dirname(resolve(file)), below))
      } catch {
        // Not installed there.
      }
    }
  }
  return found
}

/** The file of a path or name, or of a task's default. Errors: none is here. */
export function fileOf(name, task, folders) {
  const path =
    name && folders.map((folder) => (isAbsolute(name) ? name : join(folder, name))).find((p) => existsSync(p))
  if (path) return path
  const places = shelves(folders)
  for (const shelf of places) {
    if (!existsSync(join(shelf, 'manifest.json'))) continue
    const entries = JSON.parse(readFileSync(join(shelf, 'manifest.json'), 'utf8'))
    const fitting = entries.filter((e) => (name ? e.name === name : (e.task ?? 'classification') === KINDS[task]))
    const entry = fitting.find((e) => e.default) ?? fitting[0]
    const file = entry && places.map((place) => join(place, entry.file)).find((p) => existsSync(p))
    if (file) return file
  }
  throw new Error(
    name
      ? `no model is called ${name}, and no file is there`
      : `no model for ${task} is installed: npm install thimble-models in the folder of the flows, or name a file`,
  )
}
