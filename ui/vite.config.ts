import react from "@vitejs/plugin-react";
import { defineConfig } from "vitest/config";

export default defineConfig({
  plugins: [react()],
  // Absolute "/assets/..." URLs resolve under tauri://localhost and http://tauri.localhost.
  base: "/",
  clearScreen: false,
  server: { port: 1420, strictPort: true },
  build: {
    target: ["es2022", "safari16"],
    // Never inline fonts or images as data: URLs, so the CSP needs no data: source.
    assetsInlineLimit: 0,
    // The polyfill is script in the bundle, not inline, but every target supports modulepreload or degrades.
    modulePreload: { polyfill: false },
    cssCodeSplit: false,
    sourcemap: false,
  },
  test: {
    environment: "jsdom",
    setupFiles: ["./src/test/setup.ts"],
    include: ["src/**/*.test.{ts,tsx}"],
    restoreMocks: true,
    css: false,
  },
});
