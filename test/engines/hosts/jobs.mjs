// What the JavaScript hosts share: the argument list, which may hold several jobs separated by `--`, each answered with
// one line of JSON. A job that fails answers { "error" } and the next one still runs.
export async function runJobs(job) {
  const jobs = [[]]
  for (const argument of process.argv.slice(2)) {
    if (argument === '--') jobs.push([])
    else jobs.at(-1).push(argument)
  }
  for (const [path, outputs, runs, ...cases] of jobs) {
    let answer
    try {
      answer = await job({
        path,
        outputs: +outputs,
        runs: +runs,
        cases: cases.map((c) => {
          const [files, prefix] = c.split('=')
          return { files: files.split(','), prefix }
        }),
      })
    } catch (error) {
      answer = { error: String(error.message ?? error).split('\n')[0] }
      if (jobs.length === 1) process.exitCode = 1
    }
    console.log(JSON.stringify(answer))
  }
}

/** Median of the times of `count` calls. */
export function median(count, time) {
  const times = Array.from({ length: count }, time).sort((a, b) => a - b)
  return times[times.length >> 1] ?? 0
}
