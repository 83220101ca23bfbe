// The front end is tested in a real headless Chromium, with a fake model in the kernel's place.
// `make test-js` finds the browser and sets ITWIDGETS_CHROMIUM; without it Playwright's own is used.
// This file is plain JavaScript so that Node's global types stay out of the page's TypeScript.

import { playwright } from "@vitest/browser-playwright";
import { defineConfig } from "vitest/config";

const executablePath = process.env.ITWIDGETS_CHROMIUM || undefined;

export default defineConfig({
  // Bundled ahead: a dependency found during the run would reload the page under a running test.
  optimizeDeps: {
    include: [
      "axe-core",
      "preact",
      "preact/hooks",
      "preact/jsx-dev-runtime",
      "preact/jsx-runtime",
      "preact/test-utils",
    ],
  },
  test: {
    include: ["js/tests/**/*.test.{ts,tsx}"],
    restoreMocks: true,
    browser: {
      enabled: true,
      headless: true,
      screenshotFailures: false,
      provider: playwright({
        launchOptions: {
          ...(executablePath === undefined ? {} : { executablePath }),
          args: [
            "--no-sandbox", // needed as root, in containers
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
          ],
        },
      }),
      instances: [{ browser: "chromium" }],
      viewport: { width: 1000, height: 800 },
    },
  },
});
