import { fileURLToPath } from "node:url";

import { defineConfig } from "vitest/config";

const client = (path: string): string => fileURLToPath(new URL(`../typescript/src/${path}`, import.meta.url));

/** Address of a running service, for `npm run dev`. */
const service = process.env["SERVICE"] ?? "http://127.0.0.1:8003";

export default defineConfig({
  oxc: { jsx: { runtime: "automatic", importSource: "preact" } },
  resolve: {
    // The client's source, so that it need not be built before and only what is used is packed.
    alias: [
      { find: /^trading-signals-client\/web$/, replacement: client("web.ts") },
      { find: /^trading-signals-client$/, replacement: client("index.ts") },
    ],
  },
  build: {
    target: "es2022",
    modulePreload: { polyfill: false },
    assetsInlineLimit: 0,
    cssCodeSplit: true,
    reportCompressedSize: false,
  },
  server: {
    // With the Host of the browser's request, which the service compares with its Origin.
    proxy: { "^/(tradingsignals\\.|api|docs|health|openapi)": { target: service, changeOrigin: false } },
  },
  test: { include: ["tests/**/*.test.ts"] },
});
