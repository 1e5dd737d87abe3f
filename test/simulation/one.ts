import { runHistory } from './history.ts'
const seed = Number(process.argv[2])
const n = Number(process.argv[3] ?? 1)
Error.stackTraceLimit = 0
const t = Date.now()
let bad = 0,
  vms = 0
for (let s = seed; s < seed + n; s += 1) {
  const r = await runHistory(s, n === 1 ? console.log : undefined)
  vms += r.ms
  if (r.violations.length) {
    bad += 1
    if (bad < 8) console.log(s, r.violations.slice(0, 3))
  }
}
console.log(
  'bad',
  bad,
  'ms each',
  (Date.now() - t) / n,
  'cpu ms each',
  process.cpuUsage().user / 1000 / n,
  'virtual s',
  vms / n / 1000,
)
