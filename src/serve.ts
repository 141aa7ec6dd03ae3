/**
 * `thimble/serve`: what `thimble serve` answers over HTTP, for any host that speaks fetch: Workers, Deno, Bun, Node.
 * Models are packed modules.
 */
export { createApp, type AppOptions, type Gauges, type HttpApp, type LogEntry, type PageFile } from './serve/app.ts'
export type { BodyLimits } from './serve/bodies.ts'
export type { BodyReader, Incoming, Outgoing } from './serve/exchange.ts'
export { answersOf, type HereOptions } from './serve/here.ts'
export { describeAll } from './serve/questions.ts'
export type {
  Answer,
  Answers,
  DescribeQuestion,
  Description,
  NamedModel,
  PictureAnswer,
  PictureQuestion,
  Question,
  TaskName,
  TensorAnswer,
  TensorQuestion,
} from './serve/questions.ts'
