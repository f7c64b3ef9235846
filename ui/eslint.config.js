import js from "@eslint/js";
import prettier from "eslint-config-prettier/flat";
import jsxA11y from "eslint-plugin-jsx-a11y";
import reactHooks from "eslint-plugin-react-hooks";
import { defineConfig, globalIgnores } from "eslint/config";
import globals from "globals";
import tseslint from "typescript-eslint";

const mediaReason = "Media runs in the Rust core; the webview only draws the interface.";
const textReason = "Every text a person reads goes through the translation layer.";

export default defineConfig([
  globalIgnores(["dist", "coverage", "src/api/bindings.ts"]),
  { linterOptions: { reportUnusedDisableDirectives: "error" } },
  {
    files: ["**/*.{ts,tsx}"],
    extends: [
      js.configs.recommended,
      tseslint.configs.strictTypeChecked,
      tseslint.configs.stylisticTypeChecked,
      reactHooks.configs.flat["recommended-latest"],
      jsxA11y.flatConfigs.strict,
    ],
    languageOptions: {
      globals: globals.browser,
      parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname },
    },
    rules: {
      "no-console": "error",
      "@typescript-eslint/restrict-template-expressions": ["error", { allowNumber: true }],
      "@typescript-eslint/switch-exhaustiveness-check": "error",
      "@typescript-eslint/consistent-type-imports": "error",
      "no-restricted-imports": [
        "error",
        {
          patterns: [
            {
              group: ["@tauri-apps/*"],
              message: "Only src/api talks to Tauri; use the Backend interface.",
            },
          ],
        },
      ],
      "no-restricted-globals": [
        "error",
        ...["RTCPeerConnection", "webkitRTCPeerConnection", "MediaRecorder", "AudioContext"].map(
          (name) => ({ name, message: mediaReason }),
        ),
        { name: "localStorage", message: "Nothing about a visit may persist in the webview." },
        { name: "sessionStorage", message: "Nothing about a visit may persist in the webview." },
      ],
      "no-restricted-properties": [
        "error",
        { property: "getUserMedia", message: mediaReason },
        { property: "getDisplayMedia", message: mediaReason },
        { object: "navigator", property: "mediaDevices", message: mediaReason },
        { object: "window", property: "RTCPeerConnection", message: mediaReason },
        { object: "globalThis", property: "RTCPeerConnection", message: mediaReason },
      ],
      "no-restricted-syntax": [
        "error",
        {
          selector: "JSXAttribute[name.name='dangerouslySetInnerHTML']",
          message: "Render text, never markup, from the network.",
        },
        {
          selector: "JSXOpeningElement[name.name='style']",
          message: "The CSP forbids <style> elements; use a stylesheet.",
        },
        {
          selector: "JSXText[value=/\\p{L}{2}/u]",
          message: textReason,
        },
        {
          selector:
            "JSXAttribute[name.name=/^(aria-label|aria-description|title|placeholder|alt|label)$/] > Literal",
          message: textReason,
        },
      ],
    },
  },
  {
    files: ["src/api/**/*.{ts,tsx}"],
    rules: { "no-restricted-imports": "off" },
  },
  {
    files: ["**/*.js"],
    extends: [js.configs.recommended],
    languageOptions: { globals: globals.node },
  },
  prettier,
]);
