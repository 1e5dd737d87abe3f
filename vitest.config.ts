import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    projects: [
      { test: { name: 'unit', include: ['test/unit/**/*.test.ts'] } },
      {
        test: {
          name: 'contract',
          include: ['test/contract/**/*.test.ts'],
          testTimeout: 60_000,
          hookTimeout: 300_000,
          // One file at a time: the figures and limits in it are of a machine that is not shared.
          fileParallelism: false,
        },
      },
    ],
  },
})
