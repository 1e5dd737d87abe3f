/**
 * `keyferry status` with a kubectl that only notes what it is asked and says what kubectl would;
 * the real one forwards a real port in test/node.
 */
import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { followStatus, statusCommand, type StatusFlags } from '../../../src/cli/status.ts'
import { runCommand } from '../../support/command.ts'
import { eventually } from '../../support/eventually.ts'
import { failureOf } from '../../support/failure.ts'

let folder: string
let kubectl: string

/** Notes its arguments; holds the port until it is told to end, as for a pod that is gone. */
const FAKE = (folder: string, holder: string, refusal: string) => `#!${process.execPath}
const fs = require('node:fs')
const args = process.argv.slice(2)
fs.appendFileSync(${JSON.stringify(folder)} + '/calls', args.join(' ') + ' ' + process.pid + '\\n')
const say = (text) => { console.error(text); process.exit(1) }
if (args.includes('get')) {
  if (${JSON.stringify(holder)} === '') say('Error from server (Forbidden): leases is forbidden')
  console.log(${JSON.stringify(holder)})
} else {
  if (${JSON.stringify(refusal)} !== '') say('a first line\\n' + ${JSON.stringify(refusal)})
  const [local] = args.at(-1).split(':')
  console.log('Forwarding from 127.0.0.1:' + (local || '40123') + ' -> 8082')
  console.log('Forwarding from [::1]:' + (local || '40123') + ' -> 8082')
  setInterval(() => {}, 1000)
}
`

beforeEach(async () => {
  folder = await mkdtemp(path.join(os.tmpdir(), 'keyferry-kubectl-'))
  kubectl = path.join(folder, 'kubectl')
})
afterEach(async () => {
  vi.unstubAllEnvs()
  await rm(folder, { recursive: true })
})

async function install(holder: string, refusal = ''): Promise<void> {
  await writeFile(kubectl, FAKE(folder, holder, refusal))
  await chmod(kubectl, 0o755)
}

const calls = async () => {
  const text = await readFile(path.join(folder, 'calls'), 'utf8').catch(() => '')
  return text.split('\n').filter(Boolean)
}
const withoutPid = (call: string) => call.replace(/ \d+$/, '')

function begin(more: Partial<StatusFlags> = {}, env: NodeJS.ProcessEnv = {}) {
  const end = new AbortController()
  let [out, err] = ['', '']
  const flags: StatusFlags = {
    namespace: 'keyferry',
    instance: 'keyferry',
    kubectl,
    port: 0,
    podPort: 8082,
    open: true,
    output: 'human',
    ...more,
  }
  const io = {
    // By itself without a desktop, and so without a browser.
    env,
    stdin: process.stdin,
    stdout: {
      isTTY: false,
      hasColors: () => false,
      write: (text: unknown) => Boolean((out += text)),
    },
    stderr: { write: (text: unknown) => Boolean((err += text)) },
  }
  const done = followStatus(io, flags, end.signal)
  return { done, end, out: () => out, err: () => err }
}

test('the port of the replica that holds the Lease is forwarded, and its address is printed', async () => {
  await install('keyferry-7d9f-abc_4fd1')
  const { done, end, out, err } = begin({ context: 'prod', kubeconfig: '/k' })
  await eventually('the address is there', async () => err() !== '')
  expect(out()).toBe('http://127.0.0.1:40123/\n')
  expect(err()).toBe('No browser could be opened: open that address in one.\n')
  end.abort()
  await done
  const common = '--namespace=keyferry --context=prod --kubeconfig=/k'
  expect((await calls()).map(withoutPid)).toEqual([
    `${common} get lease keyferry --output=jsonpath={.spec.holderIdentity}`,
    `${common} port-forward --address 127.0.0.1 pod/keyferry-7d9f-abc :8082`,
  ])
})

test('when that replica ends, the same port leads to the next one', async () => {
  await install('one_1')
  const { done, end, out, err } = begin({ open: false, port: 9000, podPort: 9 })
  await eventually('it is forwarded', async () => out() !== '')
  await install('two_2')
  process.kill(Number((await calls())[1]?.split(' ').at(-1)))
  const again = await eventually('it is forwarded again', async () => (await calls())[3])
  expect(withoutPid(again)).toBe(
    '--namespace=keyferry port-forward --address 127.0.0.1 pod/two 9000:9',
  )
  expect(out()).toBe('http://127.0.0.1:9000/\n')
  expect(err()).toBe('pod/one is gone; looking for the next one\n')
  end.abort()
  await done
})

test('an opener that lasts as long as its browser holds up nothing', async () => {
  await install('one_1')
  const opener = path.join(folder, 'xdg-open')
  await writeFile(opener, '#!/bin/sh\nsleep 20\n', { mode: 0o755 })
  vi.stubEnv('PATH', `${folder}:${process.env['PATH']}`)
  const { done, end, out, err } = begin({}, { DISPLAY: ':0' })
  await eventually('it is forwarded', async () => out() !== '')
  end.abort()
  await done
  expect(err()).toBe('')
})

test('why there is no next replica is told once', async () => {
  await install('one_1')
  const { done, end, out, err } = begin({ open: false })
  await eventually('it is forwarded', async () => out() !== '')
  await install('one_1', 'error: pods "one" not found')
  process.kill(Number((await calls())[1]?.split(' ').at(-1)))
  await eventually('it is tried twice', async () => (await calls())[5])
  end.abort()
  await done
  const why = 'kubectl failed: error: pods "one" not found; trying again\n'
  expect(err()).toBe(`pod/one is gone; looking for the next one\n${why}`)
})

test('whoever may not read the Lease gets any replica; programs get the address as JSON', async () => {
  await install('')
  const { done, end, out } = begin({ open: false, instance: 'mine', output: 'json' })
  await eventually('it is forwarded', async () => out() !== '')
  expect(JSON.parse(out())).toEqual({ url: 'http://127.0.0.1:40123/' })
  end.abort()
  await done
  expect((await calls())[1]).toContain('port-forward --address 127.0.0.1 deployment/mine :8082')
})

test('where the work is divided the common Lease names no pod, so any replica is taken', async () => {
  await install('4 shards')
  const { done, end, out } = begin({ open: false })
  await eventually('it is forwarded', async () => out() !== '')
  end.abort()
  await done
  expect((await calls())[1]).toContain('port-forward --address 127.0.0.1 deployment/keyferry :8082')
})

test('interrupted while the Lease is asked for, it ends and forwards nothing', async () => {
  await install('one_1')
  const { done, end, out } = begin()
  end.abort()
  await done
  expect(out()).toBe('')
})

test('what kubectl refuses is told with what to do', async () => {
  await install('one_1', 'error: unable to forward port because pod is not running')
  const error = await failureOf(begin().done)
  expect(error).toMatchObject({
    code: 'KUBE_UNREACHABLE',
    message: 'kubectl failed: error: unable to forward port because pod is not running',
    remedy: expect.stringContaining('pods/portforward'),
  })
})

test('without kubectl it says so', async () => {
  const error = await failureOf(begin({ kubectl: path.join(folder, 'none') }).done)
  expect(error).toMatchObject({ code: 'INPUT_INVALID', remedy: expect.stringContaining('kubectl') })
})

test.each(['-1', '65536', 'http', ''])('--port "%s" is wrong usage', async (port) => {
  const { code } = await runCommand(statusCommand, [`--port=${port}`])
  expect(code).toBe(2)
})
