/**
 * `keyferry doctor` against a real API server, as the account of an operator, with one thing wrong
 * at a time.
 */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { afterAll, beforeAll, expect, inject, test } from 'vitest'
import type { Finding } from '../../src/operator/doctor.ts'
import { installRights, type Login, logInAs, userOf } from '../support/accounts.ts'
import { eventually } from '../support/eventually.ts'
import { freePort } from '../support/processes.ts'
import { plainEnv } from '../support/program.ts'
import { runToEnd } from '../support/run.ts'
import { setStage, type Stage } from '../support/stage.ts'

let stage: Stage
let login: Login
let folder: string

beforeAll(async () => {
  stage = await setStage()
  folder = await mkdtemp(path.join(os.tmpdir(), 'keyferry-doctor-'))
  await installRights(stage.cluster, { name: 'keyferry', namespaces: [stage.cluster.namespace] })
  login = await logInAs(stage.cluster, 'keyferry', inject('kubeconfig'))
})
afterAll(async () => {
  await login[Symbol.asyncDispose]()
  await rm(folder, { recursive: true })
  await stage.close()
})

/** Runs it with what an operator of the stage would have. */
async function doctor(more: Record<string, string> = {}, args: readonly string[] = []) {
  const { namespace } = stage.cluster
  const env = plainEnv({
    KUBECONFIG: login.kubeconfig,
    OP_CONNECT_HOST: stage.connect.url,
    OP_CONNECT_TOKEN: 'a-token-to-hide',
    WATCH_NAMESPACE: namespace,
    POD_NAMESPACE: namespace,
    ...more,
  })
  return runToEnd(process.execPath, ['dist/keyferry.mjs', 'doctor', ...args], { env })
}

/** What it finds, without what is well. */
async function complaints(more: Record<string, string>) {
  const { out, code } = await doctor(more, ['--output', 'json'])
  const { findings } = JSON.parse(out) as { findings: Finding[] }
  expect(out).not.toContain('a-token-to-hide')
  for (const { status, remedy, message } of findings) {
    const needs = status === 'failed' || status === 'warning'
    expect(remedy !== undefined, message).toBe(needs)
  }
  return { code, found: findings.filter(({ status }) => status !== 'ok') }
}

test('all is well: each check says so and the exit code is 0', async () => {
  const { out, code, err } = await doctor()
  expect(err).toBe('')
  expect(out.trimEnd().split('\n')).toEqual([
    expect.stringMatching(/^ok +settings +they can be used; vault policy: none/),
    expect.stringMatching(/^ok +connect +http:\/\/127\.0\.0\.1:\d+ answers$/),
    expect.stringMatching(/^ok +token +it is taken; vaults that it may read: 1$/),
    expect.stringContaining(userOf(stage.cluster.namespace, 'keyferry')),
    expect.stringMatching(/^ok +clock /),
    expect.stringMatching(/^ok +definition +onepassworditems\.onepassword\.com is served/),
    expect.stringMatching(/^ok +rights +all \d+ are granted$/),
  ])
  expect(code).toBe(0)
})

test('a Connect server that is not there is told, and what that hides', async () => {
  const { code, found } = await complaints({
    OP_CONNECT_HOST: `http://127.0.0.1:${await freePort()}`,
  })
  expect(found).toMatchObject([
    { check: 'connect', status: 'failed', message: expect.stringContaining('ECONNREFUSED') },
    { check: 'token', status: 'skipped' },
  ])
  expect(code).toBe(1)
})

test('a token that is refused, one that is none, and one without a vault are told', async () => {
  await using strict = await setStage()
  strict.connect.tokens = new Set(['another'])
  const refused = await complaints({ OP_CONNECT_HOST: strict.connect.url })
  expect(refused.found).toMatchObject([
    { check: 'token', status: 'failed', message: expect.stringContaining('401') },
  ])
  expect(refused.code).toBe(1)
  const file = path.join(folder, 'token')
  await writeFile(file, 'two words')
  const none = await complaints({ OP_CONNECT_TOKEN_FILE: file })
  expect(none.found).toMatchObject([
    { check: 'token', message: expect.stringContaining('characters that no token has') },
  ])
  strict.connect.tokens = undefined
  strict.connect.removeVault(strict.vault)
  const blind = await complaints({ OP_CONNECT_HOST: strict.connect.url })
  expect(blind.found).toMatchObject([
    { check: 'token', status: 'failed', message: 'the token is taken but may read no vault' },
  ])
})

test('rights that are missing are told by resource, where, and what does not work', async () => {
  const { code, found } = await complaints({ WATCH_NAMESPACE: '*' })
  expect(code).toBe(1)
  expect(new Set(found.map(({ check }) => check))).toEqual(new Set(['rights']))
  const told = Object.fromEntries(found.map(({ message, status }) => [message, status]))
  expect(told).toMatchObject({
    'this account may not get, list, watch, create, update, delete secrets in all namespaces':
      'failed',
    'this account may not patch onepassworditems.onepassword.com/status in all namespaces':
      'failed',
    'this account may not patch deployments.apps in all namespaces: workloads are not restarted':
      'warning',
  })
})

test('missing comforts alone leave the exit code at 0', async () => {
  await stage.cluster.create('serviceaccounts', { metadata: { name: 'modest' } })
  const { rules } = await stage.cluster.get('roles', 'keyferry-served')
  const modest = (rules as { apiGroups: string[]; verbs: string[] }[])
    .filter(({ apiGroups }) => apiGroups[0] !== 'argoproj.io')
    .map((rule) =>
      rule.apiGroups[0] === 'apps' ? { ...rule, verbs: ['get', 'list', 'watch'] } : rule,
    )
  await stage.cluster.apply('roles', { metadata: { name: 'modest' }, rules: modest })
  for (const role of ['modest', 'keyferry']) {
    await stage.cluster.create('rolebindings', {
      metadata: { name: `modest-${role}` },
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'Role', name: role },
      subjects: [{ kind: 'ServiceAccount', name: 'modest', namespace: stage.cluster.namespace }],
    })
  }
  await using other = await logInAs(stage.cluster, 'modest', inject('kubeconfig'))
  // A binding takes a moment to hold.
  const { code, found } = await eventually('only comforts are missing', async () => {
    const seen = await complaints({ KUBECONFIG: other.kubeconfig })
    return seen.found.every(({ status }) => status === 'warning') && seen
  })
  expect(found.map(({ message }) => message)).toContainEqual(
    expect.stringMatching(/rollouts\.argoproj\.io .*Argo Rollouts are not restarted$/),
  )
  expect(code).toBe(0)
})

test('no way to the API server is told, and what that hides', async () => {
  const file = path.join(folder, 'kubeconfig')
  const server = `https://127.0.0.1:${await freePort()}`
  const config = {
    clusters: [{ name: 'c', cluster: { server } }],
    contexts: [{ name: 'c', context: { cluster: 'c', user: 'u' } }],
    users: [{ name: 'u', user: {} }],
    'current-context': 'c',
  }
  await writeFile(file, JSON.stringify(config))
  const { code, found } = await complaints({ KUBECONFIG: file })
  expect(found).toMatchObject([
    { check: 'kubernetes', status: 'failed', message: expect.stringContaining('ECONNREFUSED') },
    { check: 'clock', status: 'skipped' },
    { check: 'definition', status: 'skipped' },
    { check: 'rights', status: 'skipped' },
  ])
  expect(code).toBe(1)
})

test('settings that cannot be used are told with exit code 2, a bad vault policy with 1', async () => {
  const { code, found } = await complaints({ POLLING_INTERVAL: 'often' })
  expect(found).toMatchObject([
    { check: 'settings', status: 'failed', message: expect.stringContaining('POLLING_INTERVAL') },
  ])
  expect(code).toBe(2)
  const file = path.join(folder, 'policy.yaml')
  await writeFile(file, 'mode: ajar')
  const policy = await complaints({ VAULT_POLICY_FILE: file })
  expect(policy.found).toMatchObject([{ check: 'settings', status: 'failed' }])
  expect(policy.code).toBe(1)
})
