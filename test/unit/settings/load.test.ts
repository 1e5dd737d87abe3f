import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { isKeyferryError, type KeyferryError } from '../../../src/errors.ts'
import { loadSettings } from '../../../src/settings/load.ts'
import {
  flagOf,
  type SettingInfo,
  type SettingKey,
  type Settings,
  SETTINGS,
} from '../../../src/settings/settings.ts'

type Texts = Record<string, string>

const NEEDED = { OP_CONNECT_HOST: 'http://connect:8080', OP_CONNECT_TOKEN: 'abc' }

const load = (environment: Texts, flags: Partial<Record<SettingKey, string>> = {}) =>
  loadSettings(flags, { ...NEEDED, ...environment })

function refusal(environment: Texts): KeyferryError {
  try {
    loadSettings({}, environment)
  } catch (error) {
    return error as KeyferryError
  }
  throw new Error('it was accepted')
}

test('little has to be set', () => {
  expect(load({})).toEqual({
    connectHost: 'http://connect:8080',
    connectToken: 'abc',
    connectTokenFile: undefined,
    connectCaFile: undefined,
    pollingIntervalMs: 30_000,
    watchNamespaces: undefined,
    itemSelector: '',
    vaultPolicyFile: undefined,
    autoRestart: 'false',
    restartOnRemap: false,
    restartDelayMs: 2_000,
    restartsPerMinute: 60,
    emptyValues: false,
    staleAfterMs: 3_600_000,
    concurrency: 32,
    labelsNotCopied: [],
    logLevel: 'info',
    logFormat: 'json',
    statusAddress: { host: '127.0.0.1', port: 8082 },
    metricsAddress: { host: '', port: 8080 },
    probeAddress: { host: '', port: 8081 },
    kubeconfig: undefined,
    ownNamespace: undefined,
    podName: undefined,
    instance: 'keyferry',
    leaderElection: true,
    shards: 1,
    dryRun: false,
  } satisfies Settings)
})

test('everything can be set', () => {
  const settings = load({
    OP_CONNECT_CA_FILE: '/ca.pem',
    POLLING_INTERVAL: '600',
    WATCH_NAMESPACE: 'one, two,one',
    AUTO_RESTART: 'true',
    RESTART_DELAY: '0.5',
    RESTARTS_PER_MINUTE: '6000',
    ALLOW_EMPTY_VALUES: 'True',
    STALE_AFTER: '120',
    CONCURRENCY: '1.9',
    LABELS_NOT_COPIED: 'team, example.com/*',
    LOG_LEVEL: 'debug',
    LOG_FORMAT: 'text',
    METRICS_ADDRESS: 'off',
    PROBE_ADDRESS: '[::1]:9000',
    STATUS_ADDRESS: ':9001',
    POD_NAMESPACE: 'own',
    INSTANCE: 'second',
    SHARDS: '8',
  })
  expect(settings).toMatchObject({
    connectCaFile: '/ca.pem',
    pollingIntervalMs: 600_000,
    watchNamespaces: ['one', 'two'],
    autoRestart: 'true',
    restartDelayMs: 500,
    restartsPerMinute: 6_000,
    emptyValues: true,
    staleAfterMs: 120_000,
    concurrency: 1,
    labelsNotCopied: ['team', 'example.com/*'],
    logLevel: 'debug',
    logFormat: 'text',
    statusAddress: { host: '127.0.0.1', port: 9001 },
    metricsAddress: undefined,
    probeAddress: { host: '::1', port: 9000 },
    ownNamespace: 'own',
    instance: 'second',
    shards: 8,
  })
})

test('shards that nothing would divide are refused', () => {
  expect(() => load({ SHARDS: '2', LEADER_ELECTION: 'false' })).toThrow('LEADER_ELECTION is false')
  expect(load({ LEADER_ELECTION: 'false' }).shards).toBe(1)
})

test('a flag goes before the environment, and an empty text is as none', () => {
  const settings = load(
    { POLLING_INTERVAL: '60', INSTANCE: 'by-environment', AUTO_RESTART: '' },
    { pollingInterval: '90', instance: '', kubeconfig: '/kubeconfig' },
  )
  expect(settings).toMatchObject({
    pollingIntervalMs: 90_000,
    instance: 'by-environment',
    autoRestart: 'false',
    kubeconfig: '/kubeconfig',
  })
})

test('KUBECONFIG of the environment is left to those who read lists of files', () => {
  expect(load({ KUBECONFIG: '/a:/b' }).kubeconfig).toBeUndefined()
})

test('a token file goes before a token', () => {
  expect(load({ OP_CONNECT_TOKEN_FILE: '/token' })).toMatchObject({
    connectToken: undefined,
    connectTokenFile: '/token',
  })
})

test.each([
  [{ OP_CONNECT_TOKEN: 'abc' }, 'OP_CONNECT_HOST (--op-connect-host) is not set'],
  [{ OP_CONNECT_HOST: 'http://x' }, 'OP_CONNECT_TOKEN_FILE (--op-connect-token-file) is not set'],
])('what is needed and missing is named: %j', (environment, message) => {
  const error = refusal(environment)
  expect(error).toMatchObject({ code: 'SETTING_INVALID', retry: 'on-change', message })
  expect(error.remedy).toMatch(/^Set it to the (address|file)/)
})

const BAD: Record<string, readonly string[]> = {
  POLLING_INTERVAL: [
    '0',
    '-1',
    '86401',
    '1e9',
    'NaN',
    'Infinity',
    '30s',
    '1,5',
    '0x1e',
    ' ',
    '9'.repeat(400),
  ],
  RESTART_DELAY: ['-1', '601', 'two'],
  RESTARTS_PER_MINUTE: ['0', '60001', '.'],
  STALE_AFTER: ['119', '604801', '1h'],
  CONCURRENCY: ['0', '0.9', '129', 'many'],
  AUTO_RESTART: ['yes', 'on', '2', 'tru', ' true'],
  ALLOW_EMPTY_VALUES: ['no', 'null'],
  LOG_LEVEL: ['INFO', 'fatal', 'silent', ' info'],
  LOG_FORMAT: ['xml', 'Json'],
  METRICS_ADDRESS: ['8080', ':', ':http', ':65536', 'host:-1', 'host:1234567', 'http://host:80/x'],
  PROBE_ADDRESS: ['nowhere', '0.0.0.0'],
  // Whoever reaches it may read it.
  STATUS_ADDRESS: ['8082', '0.0.0.0:8082', '[::]:8082', 'localhost:8082', '127.0.0.1.example:8082'],
  WATCH_NAMESPACE: [
    ' ',
    ',',
    'one,*',
    'One',
    'a_b',
    'a.b',
    '-a',
    'a-',
    'one two',
    'a'.repeat(64),
    '**',
  ],
}

test.each(Object.entries(BAD).flatMap(([name, texts]) => texts.map((text) => [name, text])))(
  '%s="%s" is refused by name, with what to do',
  (name = '', text = '') => {
    const error = refusal({ ...NEEDED, [name]: text })
    expect(error.code).toBe('SETTING_INVALID')
    expect(error.message).toContain(`${name} (--${name.toLowerCase().replaceAll('_', '-')}) is not`)
    expect(error.remedy).toMatch(/^Set it to .+, or leave it out\.$/)
  },
)

test.each(['*', ' * '])('WATCH_NAMESPACE="%s" means all', (text) => {
  expect(load({ WATCH_NAMESPACE: text }).watchNamespaces).toBeUndefined()
})

test.each([
  ['t', true],
  ['1', true],
  ['TRUE', true],
  ['f', false],
  ['0', false],
  ['False', false],
])('AUTO_RESTART="%s" is %s', (text, wanted) => {
  expect(load({ AUTO_RESTART: text }).autoRestart).toBe(String(wanted))
})

test.each([
  ['off', undefined],
  ['false', undefined],
  ['0', undefined],
  [':0', { host: '', port: 0 }],
  ['127.0.0.1:80', { host: '127.0.0.1', port: 80 }],
  ['[fe80::1]:65535', { host: 'fe80::1', port: 65_535 }],
])('METRICS_ADDRESS="%s" is %j', (text, wanted) => {
  expect(load({ METRICS_ADDRESS: text }).metricsAddress).toEqual(wanted)
})

test('any text of any setting is either taken, within its bounds, or refused unquoted', () => {
  const infos = Object.values(SETTINGS) as SettingInfo[]
  const text = fc.oneof(fc.string(), fc.double().map(String), fc.integer().map(String))
  fc.assert(
    fc.property(fc.constantFrom(...infos), text, ({ name }, value) => {
      let outcome: unknown
      try {
        const { pollingIntervalMs: poll, concurrency } = load({ [name]: value })
        outcome = poll >= 1_000 && poll <= 86_400_000 && Number.isInteger(concurrency)
      } catch (error) {
        const quoted = value.length > 6 && (error as Error).message.includes(value)
        outcome = isKeyferryError(error, 'SETTING_INVALID') && !quoted
      }
      expect(outcome).toBe(true)
    }),
    { numRuns: 500 },
  )
})

test('every setting has a help text, and a flag by its name', () => {
  for (const info of Object.values(SETTINGS) as SettingInfo[]) {
    expect(info.help).not.toBe('')
    expect(flagOf(info)).toMatch(/^--[a-z]+(-[a-z]+)*$/)
  }
})

test('the environment of the process is read when no other is given', () => {
  const before = process.env['OP_CONNECT_HOST']
  process.env['OP_CONNECT_HOST'] = 'http://by-process'
  try {
    const flags = { connectTokenFile: '/token' }
    expect(loadSettings(flags).connectHost).toBe('http://by-process')
  } finally {
    if (before === undefined) delete process.env['OP_CONNECT_HOST']
    else process.env['OP_CONNECT_HOST'] = before
  }
})
