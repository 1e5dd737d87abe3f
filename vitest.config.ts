import { defineConfig } from 'vitest/config'

/**
 * Tests against real servers start processes and wait for states, not for times: these bounds only
 * end what hangs, also on a machine that is busy with something else.
 */
const PATIENT = { testTimeout: 600_000, hookTimeout: 900_000 }

/** Thousands of resources at once: alone, after all others, on an API server of its own. */
const FLOOD = 'test/cluster/containment.test.ts'

/** A dozen operators at once, whose Leases a machine that is too busy would cost them: alone, too. */
const CRASHES = 'test/reliability/crash.test.ts'

export default defineConfig({
  test: {
    reporters: ['default'],
    coverage: {
      provider: 'v8',
      include: ['src/**/*.ts'],
      exclude: ['src/**/*.generated.ts'],
      reporter: ['text-summary', 'json-summary'],
      thresholds: {
        'src/operator/plan/**': { lines: 95 },
        'src/{kube,connect,settings,telemetry}/**': { lines: 90 },
        'src/connect/model.ts': { lines: 95 },
        'src/connect/{item-path,lookup,secret-value}.ts': { lines: 95 },
      },
    },
    projects: [
      {
        test: {
          name: 'unit',
          include: ['test/unit/**/*.test.ts', 'test/architecture.test.ts'],
          testTimeout: 300_000,
        },
      },
      {
        test: {
          name: 'contract',
          include: ['test/contract/**/*.test.ts'],
          globalSetup: ['test/support/contract-setup.ts'],
          // Most files keep one processor busy; more at a time would only wait for each other.
          maxWorkers: 2,
          ...PATIENT,
        },
      },
      {
        test: {
          name: 'cluster',
          include: ['test/cluster/**/*.test.ts'],
          exclude: [FLOOD],
          globalSetup: ['test/support/cluster-setup.ts'],
          // Tests wait for states most of their time, those of one file together.
          maxWorkers: 3,
          maxConcurrency: 10,
          ...PATIENT,
        },
      },
      {
        test: {
          name: 'cluster-flood',
          include: [FLOOD],
          globalSetup: ['test/support/cluster-setup.ts'],
          sequence: { groupOrder: 1 },
          ...PATIENT,
        },
      },
      {
        test: {
          name: 'reliability',
          include: ['test/reliability/**/*.test.ts'],
          exclude: [CRASHES],
          globalSetup: ['test/support/cluster-setup.ts'],
          maxWorkers: 3,
          // Each runs two operators or more, whose Leases a machine that is too busy would cost them.
          maxConcurrency: 8,
          ...PATIENT,
        },
      },
      {
        test: {
          name: 'browser',
          include: ['test/browser/**/*.test.ts'],
          globalSetup: ['test/support/cluster-setup.ts', 'test/support/browser-setup.ts'],
          maxWorkers: 2,
          ...PATIENT,
        },
      },
      {
        test: {
          name: 'reliability-crashes',
          include: [CRASHES],
          globalSetup: ['test/support/cluster-setup.ts'],
          sequence: { groupOrder: 1 },
          maxConcurrency: 8,
          ...PATIENT,
        },
      },
      {
        test: {
          name: 'chart',
          include: ['test/chart/**/*.test.ts'],
          globalSetup: ['test/support/cluster-setup.ts'],
          maxWorkers: 2,
          ...PATIENT,
        },
      },
      {
        test: {
          name: 'image',
          include: ['test/image/**/*.test.ts'],
          globalSetup: ['test/support/image-setup.ts'],
          ...PATIENT,
        },
      },
      {
        test: {
          name: 'node',
          include: ['test/node/**/*.test.ts'],
          globalSetup: ['test/support/node-setup.ts'],
          ...PATIENT,
        },
      },
    ],
  },
})
