/**
 * Answers and events for an MQTT broker, and what Home Assistant needs to find them by itself
 * (https://www.home-assistant.io/integrations/mqtt/#mqtt-discovery). The camera goes on whatever the broker does.
 *
 *   thimble/NAME/availability   online or offline, retained; the last will says offline
 *   thimble/NAME/answer         every answer, JSON, as `watch --json` prints it
 *   thimble/NAME/state          the answer in words, retained, when it changes
 *   thimble/NAME/on/LABEL       ON or OFF, retained: an event of that label
 *   thimble/NAME/events         JSON: begin and end of events
 *   thimble/NAME/snapshot       an event's best frame as an encoded picture, retained
 */
import { type Condition, eventRecord, type LiveEvent } from './events.ts'
import { withoutLogin } from './source.ts'

export interface PublishOptions {
  qos: 0 | 1
  retain: boolean
}
/** What is used of the package mqtt (5.x). */
export interface MqttClient {
  readonly connected: boolean
  on(event: 'connect' | 'reconnect' | 'close', listener: () => void): void
  on(event: 'error', listener: (error: Error) => void): void
  on(event: 'message', listener: (topic: string, payload: Uint8Array) => void): void
  publish(topic: string, payload: string | Uint8Array, options: PublishOptions, done?: () => void): void
  subscribe(topic: string): void
  end(force: boolean, done: () => void): void
}
export interface Mqtt {
  connect(url: string, options: object): MqttClient
}

export interface HubOptions {
  url: string
  /** Of this camera: part of the topics. */
  name: string
  /** Prefix of Home Assistant's discovery topics; undefined: none. */
  discovery?: string
  conditions: readonly Condition[]
  model: string
  version: string
  /** One line for a person. */
  note(what: string): void
}

const RETRY_MS = 2000
const CONNECT_MS = 10_000
/** How long the goodbye may take. */
const GOODBYE_MS = 2000

/** A label as part of a topic and an id. */
export const slug = (text: string): string =>
  text
    .normalize('NFKD')
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '_')
    .replace(/^_+|_+$/g, '') || 'any'

/** Refusals that trying again does not mend (MQTT 3.1.1, 3.2.2.3; MQTT 5, 3.2.2.2). */
const REFUSED = [1, 2, 4, 5, 132, 133, 134, 135, 138, 140]

export class Hub {
  private readonly client: MqttClient
  private readonly options: HubOptions
  private readonly base: string
  private state = ''
  private readonly on = new Set<string>()
  private told = ''
  /** Resolves to an error that trying again does not mend. */
  readonly refused: Promise<Error>

  constructor(mqtt: Mqtt, options: HubOptions) {
    this.options = options
    this.base = `thimble/${slug(options.name)}`
    const client = mqtt.connect(options.url, {
      reconnectPeriod: RETRY_MS,
      connectTimeout: CONNECT_MS,
      // Frames are of today: what could not be sent is not sent later.
      queueQoSZero: false,
      will: { topic: `${this.base}/availability`, payload: Buffer.from('offline'), qos: 1, retain: true },
    })
    this.client = client
    client.on('connect', () => this.greet())
    client.on('close', () => this.tell(`the broker at ${withoutLogin(options.url)} is away; trying again`))
    this.refused = new Promise((resolve) => {
      client.on('error', (error) => {
        if (REFUSED.includes((error as { code?: unknown }).code as number)) resolve(error)
        else {
          this.tell(`the broker at ${withoutLogin(options.url)}: ${error.message || (error as { code?: string }).code}`)
        }
      })
    })
    client.on('message', (_, payload) => {
      // Home Assistant has started anew.
      if (Buffer.from(payload).toString() === 'online') this.discover()
    })
  }

  /** One frame's answer: the record, and the same in words. */
  answer(record: object, words: string): void {
    this.send('answer', JSON.stringify(record), { qos: 0, retain: false })
    if (words === this.state) return
    this.state = words
    this.send('state', words.slice(0, 255), { qos: 0, retain: true })
  }

  event(event: LiveEvent): void {
    const { type } = event
    this.send('events', JSON.stringify(eventRecord(event)), { qos: 1, retain: false })
    for (const topic of this.switchesOf(event.label)) {
      if (type === 'start') this.on.add(topic)
      else this.on.delete(topic)
      this.send(topic, type === 'start' ? 'ON' : 'OFF', { qos: 1, retain: true })
    }
  }

  /** The frame of an event: an encoded picture. */
  snapshot(picture: Uint8Array): void {
    this.send('snapshot', Buffer.from(picture.buffer, picture.byteOffset, picture.byteLength), { qos: 0, retain: true })
  }

  /** Says that the camera is gone, and goes. */
  async end(): Promise<void> {
    const { client } = this
    const late = new Promise<void>((resolve) => setTimeout(resolve, GOODBYE_MS).unref())
    if (client.connected) {
      const said = new Promise<void>((resolve) =>
        client.publish(`${this.base}/availability`, 'offline', { qos: 1, retain: true }, () => resolve()),
      )
      await Promise.race([said, late])
    }
    await Promise.race([new Promise<void>((resolve) => client.end(!client.connected, resolve)), late])
  }

  private tell(what: string): void {
    if (what !== this.told) this.options.note(what)
    this.told = what
  }

  private send(topic: string, payload: string | Uint8Array, options: PublishOptions): void {
    if (this.client.connected) this.client.publish(`${this.base}/${topic}`, payload, options)
  }

  /** Topics that say whether a label is there: its own, and that of `*`. */
  private switchesOf(label: string): string[] {
    const asked = this.options.conditions.filter((c) => c.label === label || c.label === '*')
    return asked.map((c) => `on/${slug(c.label)}`)
  }

  /** What is retained is said again after every connection: the broker may have forgotten it. */
  private greet(): void {
    const { url, conditions, discovery } = this.options
    this.tell(`connected to ${withoutLogin(url)} as ${this.base}`)
    this.discover()
    if (discovery !== undefined) this.client.subscribe(`${discovery}/status`)
    this.send('availability', 'online', { qos: 1, retain: true })
    if (this.state) this.send('state', this.state.slice(0, 255), { qos: 0, retain: true })
    for (const { label } of conditions) {
      const topic = `on/${slug(label)}`
      this.send(topic, this.on.has(topic) ? 'ON' : 'OFF', { qos: 1, retain: true })
    }
  }

  private discover(): void {
    const { discovery, conditions } = this.options
    if (discovery === undefined) return
    const id = `thimble_${slug(this.options.name)}`
    const entity = (kind: string, object: string, fields: object): void => {
      const config = {
        unique_id: `${id}_${object}`,
        object_id: `${id}_${object}`,
        availability_topic: `${this.base}/availability`,
        device: {
          identifiers: [id],
          name: this.options.name,
          manufacturer: 'Thimble',
          model: this.options.model,
          sw_version: this.options.version,
        },
        origin: { name: 'thimble', sw_version: this.options.version },
        ...fields,
      }
      this.client.publish(`${discovery}/${kind}/${id}/${object}/config`, JSON.stringify(config), {
        qos: 1,
        retain: true,
      })
    }
    entity('sensor', 'answer', { name: 'Answer', state_topic: `${this.base}/state`, icon: 'mdi:eye' })
    for (const { label } of conditions) {
      entity('binary_sensor', slug(label), {
        name: label === '*' ? 'Anything' : label,
        state_topic: `${this.base}/on/${slug(label)}`,
        payload_on: 'ON',
        payload_off: 'OFF',
        ...(/^(person|face)$/.test(label) && { device_class: 'occupancy' }),
      })
    }
    if (conditions.length) {
      entity('image', 'snapshot', { name: 'Snapshot', image_topic: `${this.base}/snapshot` })
    }
  }
}
