import { expect, test } from 'vitest'
import { parseAllDocuments } from 'yaml'
import { validate } from '../../../src/tools/validate/validate.ts'

const sources = Array.from({ length: 1_000 }, (_, n) => ({
  name: `apps/${n % 50}/${n}.yaml`,
  text: `apiVersion: onepassword.com/v1
kind: OnePasswordItem
metadata:
  name: item-${n}
  labels:
    app.kubernetes.io/name: shop
  annotations:
    operator.1password.io/auto-restart: "true"
spec:
  itemPath: vaults/Production/items/Database ${n}
  data:
    URL: "postgres://{{ op://Production/Database/username }}:{{ op://Production/Database/password | urlencode }}@db"
    HOST: db.example.com
  requiredKeys: [username, password]
`,
}))

/** Milliseconds of this process's own work; others on the machine do not count. */
function work(task: () => void): number {
  const before = process.cpuUsage()
  task()
  return process.cpuUsage(before).user / 1_000
}

test('1,000 manifests take little more than reading their YAML', () => {
  const read = () => sources.forEach(({ text }) => parseAllDocuments(text))
  const check = () => expect(validate(sources).findings).toEqual([])
  // The first pass warms up: both are compiled while they run.
  for (const task of [read, check]) task()
  const [reading, checking] = [work(read), work(check)]
  console.log(
    `1,000 manifests: ${Math.round(checking)} ms, of which YAML ${Math.round(reading)} ms`,
  )
  expect(checking / reading).toBeLessThan(8)
}, 30_000)
