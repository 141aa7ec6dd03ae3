/**
 * Questions about a picture, a set of tensors or a model, and their answers: what `serve`, `watch` and Workers share.
 */
import type { TensorInfo, TypedArray } from '../graph/types.ts'
import type { RawFrame } from '../image/source.ts'
import { checkValue, type Rule } from '../options/options.ts'
import { Refusal } from './refusal.ts'

/** What can be asked of a picture; the routes have the same names. */
export const TASKS = ['classify', 'detect', 'pose', 'segment', 'faces'] as const
/** One of the tasks. */
export type TaskName = (typeof TASKS)[number]

/** A picture, and what is asked of it. */
export interface PictureQuestion {
  /** Default: what the model is for. */
  task?: TaskName
  /** Path or name. Default: the model for the task. */
  model?: string
  picture: Uint8Array | RawFrame
  /** Most predictions or detections. */
  top?: number
  /** What scores less is left out. */
  threshold?: number
}

/** Raw tensors, one an input. */
export interface TensorQuestion {
  model: string
  inputs: TypedArray[]
}

/** What a model takes and gives. */
export interface DescribeQuestion {
  model: string
  describe: true
}

/** Any of the three. */
export type Question = PictureQuestion | TensorQuestion | DescribeQuestion

/** What a picture shows. */
export interface PictureAnswer {
  task: TaskName
  model: string
  /** Of the picture, in pixels. Absent for encoded pictures that were classified. */
  width?: number
  height?: number
  /** The task's own fields, as its command prints them in JSON. */
  fields: Record<string, unknown>
  /** The same in a few words. */
  words: string
  timings: { decodeMs: number; preprocessMs: number; inferMs: number }
}

/** Outputs of a model, one array each, in its own types. */
export interface TensorAnswer {
  outputs: TypedArray[]
  inferMs: number
}

/** What a model takes, gives and is for. */
export interface Description {
  inputs: TensorInfo[]
  outputs: TensorInfo[]
  labels: string[]
  /** `run`: none of the tasks. */
  task: TaskName | 'run'
  /** Kernels it runs on, and bytes of memory that it holds. */
  variant?: string
  memoryBytes?: number
}

/** A model by its path or name, as who answers knows it, and what it is. */
export interface NamedModel {
  model: string
  about: Description
}

/** The answer to any question. */
export type Answer = PictureAnswer | TensorAnswer | Description

/** Answers questions. */
export interface Answers {
  answer(question: PictureQuestion): Promise<PictureAnswer>
  answer(question: TensorQuestion): Promise<TensorAnswer>
  answer(question: DescribeQuestion): Promise<Description>
  /** Questions that are being answered, and that wait. */
  readonly busy: number
  readonly waiting: number
  end(): Promise<void>
}

const ANSWERS: Rule = {
  expected: 'what answersOf gives',
  accepts: (v) => typeof (v as Answers | null)?.answer === 'function',
}
const isName = (v: unknown): boolean =>
  typeof v === 'string' || (Array.isArray(v) && v.length === 2 && v.every((part) => typeof part === 'string'))
const NAMES: Rule = {
  expected: 'names of models, or pairs of a name and the model that it stands for',
  accepts: (v) => Array.isArray(v) && v.every(isName),
}

/**
 * Descriptions of named models, as `createApp` wants them; a name may stand for another that `answers` knows. One that
 * can't be loaded throws. Errors: those of loading a model; `usage/option`.
 *
 * @example worker
 * import image from 'thimble/image.wasm'
 * import { answersOf, describeAll } from 'thimble/serve'
 * import packed from './model.wasm'
 * const models = await describeAll(answersOf({ models: { things: packed }, image }), ['things'])
 * console.log(models.get('things')!.about.task)
 */
export async function describeAll(
  answers: Answers,
  names: Iterable<string | readonly [name: string, model: string]>,
): Promise<Map<string, NamedModel>> {
  checkValue('describeAll: answers', answers, ANSWERS)
  const list = typeof names === 'object' && names !== null && Symbol.iterator in names ? [...names] : undefined
  checkValue('describeAll: names', list ?? names, NAMES)
  const models = new Map<string, NamedModel>()
  for (const given of list!) {
    const [name, model] = typeof given === 'string' ? [given, given] : given
    models.set(name, { model, about: await answers.answer({ model, describe: true }) })
  }
  return models
}

/** Errors: 404 for a name that none has, and for a version that is not its only one. */
export function namedModel(models: ReadonlyMap<string, NamedModel>, name: string, version = '1'): NamedModel {
  const known = models.get(name)
  if (known && version === '1') return known
  throw new Refusal(404, 'usage/model', `no model is called ${name.slice(0, 80)}`)
}

/** The value of a key, made once; what fails is tried again the next time. */
export function kept<T>(map: Map<string, Promise<T>>, key: string, make: () => Promise<T>): Promise<T> {
  const known = map.get(key)
  if (known) return known
  const made = make()
  map.set(key, made)
  made.catch(() => map.delete(key))
  return made
}
