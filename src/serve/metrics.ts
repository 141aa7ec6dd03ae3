/** Counters and histograms in the text format of Prometheus, version 0.0.4. */

const BUCKETS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10]
const escaped = (text: string): string => text.replace(/[\\"\n]/g, (c) => (c === '\n' ? '\\n' : `\\${c}`))

interface Histogram {
  buckets: number[]
  sum: number
  count: number
}

export class Metrics {
  private readonly requests = new Map<string, number>()
  private readonly seconds = new Map<string, Histogram>()
  private readonly started = Date.now()

  /** One answered request; `route` is one of few, never what a client made up. */
  count(route: string, status: number, seconds: number): void {
    const key = `route="${escaped(route)}",code="${status}"`
    this.requests.set(key, (this.requests.get(key) ?? 0) + 1)
    const at = `route="${escaped(route)}"`
    const known = this.seconds.get(at) ?? { buckets: BUCKETS.map(() => 0), sum: 0, count: 0 }
    BUCKETS.forEach((limit, i) => {
      if (seconds <= limit) known.buckets[i]!++
    })
    known.sum += seconds
    known.count++
    this.seconds.set(at, known)
  }

  text(gauges: Record<string, [help: string, value: number]>): string {
    const out = ['# HELP thimble_requests_total Requests answered.', '# TYPE thimble_requests_total counter']
    for (const [labels, n] of this.requests) out.push(`thimble_requests_total{${labels}} ${n}`)
    out.push(
      '# HELP thimble_request_seconds Time from a request to its answer.',
      '# TYPE thimble_request_seconds histogram',
    )
    for (const [labels, { buckets, sum, count }] of this.seconds) {
      BUCKETS.forEach((limit, i) => out.push(`thimble_request_seconds_bucket{${labels},le="${limit}"} ${buckets[i]}`))
      out.push(`thimble_request_seconds_bucket{${labels},le="+Inf"} ${count}`)
      out.push(`thimble_request_seconds_sum{${labels}} ${sum}`, `thimble_request_seconds_count{${labels}} ${count}`)
    }
    const all = { ...gauges, process_start_time_seconds: ['Unix time of the start.', this.started / 1000] as const }
    for (const [name, [help, value]] of Object.entries(all)) {
      out.push(`# HELP ${name} ${help}`, `# TYPE ${name} gauge`, `${name} ${value}`)
    }
    return `${out.join('\n')}\n`
  }
}
