/** Colours, type and spacing of the whole dashboard. */
import { type CSSVariablesResolver, createTheme, Modal } from "@mantine/core";

export const theme = createTheme({
  primaryColor: "indigo",
  primaryShade: { light: 7, dark: 8 },
  autoContrast: true,
  respectReducedMotion: true,
  defaultRadius: "sm",
  fontFamily: "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif",
  fontFamilyMonospace: "ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace",
  headings: { fontWeight: "650", sizes: { h1: { fontSize: "1.25rem" }, h2: { fontSize: "1rem" } } },
  components: {
    // The header of a dialog is none of the page: that would be a second banner.
    Modal: Modal.extend({ defaultProps: { attributes: { header: { role: "presentation" } } } }),
  },
  colors: {
    dark: [
      "#dfe3ea",
      "#bfc6d1",
      "#9aa4b2",
      "#707a8a",
      "#3f4756",
      "#2c323e",
      "#1e232c",
      "#14181f",
      "#0f1217",
      "#0a0c10",
    ],
  },
});

/**
 * What Mantine has no name for. Texts have a contrast of at least 4.5 on their grounds, marks of charts one
 * of 3 (WCAG 2.2, 1.4.3 and 1.4.11).
 */
export const variables: CSSVariablesResolver = () => ({
  variables: {},
  light: {
    "--mantine-color-dimmed": "#545b66",
    "--mantine-color-placeholder": "#646b76",
    "--mantine-color-anchor": "#364fc7",
    "--cn-ground": "#f6f7f9",
    "--cn-panel": "#ffffff",
    "--cn-line": "#dde1e7",
    "--cn-grid": "#eceef2",
    "--cn-ok": "#12866b",
    "--cn-ok-text": "#0b6450",
    "--cn-ok-ground": "#e0f4ee",
    "--cn-recovered": "#c2700a",
    "--cn-recovered-text": "#8a4b00",
    "--cn-recovered-ground": "#fdf0dc",
    "--cn-failed": "#d6336c",
    "--cn-failed-text": "#a61e4d",
    "--cn-failed-ground": "#fde7ef",
    "--cn-quiet-text": "#4b5360",
    "--cn-quiet-ground": "#eceef2",
    "--cn-1": "#4263eb",
    "--cn-2": "#0c8599",
    "--cn-3": "#c2700a",
    "--cn-4": "#ae3ec9",
    "--cn-5": "#5c8a0e",
    "--cn-6": "#d6336c",
  },
  dark: {
    "--mantine-color-body": "#0f1217",
    "--mantine-color-dimmed": "#9aa4b2",
    "--mantine-color-placeholder": "#8b95a5",
    "--mantine-color-anchor": "#91a7ff",
    "--cn-ground": "#0f1217",
    "--cn-panel": "#14181f",
    "--cn-line": "#2c323e",
    "--cn-grid": "#222834",
    "--cn-ok": "#38b495",
    "--cn-ok-text": "#63d3b6",
    "--cn-ok-ground": "#10302a",
    "--cn-recovered": "#e8a13c",
    "--cn-recovered-text": "#f3bb68",
    "--cn-recovered-ground": "#37280f",
    "--cn-failed": "#f0669a",
    "--cn-failed-text": "#ff9dc0",
    "--cn-failed-ground": "#3d1526",
    "--cn-quiet-text": "#b7bfcc",
    "--cn-quiet-ground": "#262c37",
    "--cn-1": "#7c93ff",
    "--cn-2": "#3bc9db",
    "--cn-3": "#e8a13c",
    "--cn-4": "#da77f2",
    "--cn-5": "#a3cf3d",
    "--cn-6": "#f0669a",
  },
});

/** Colours of groups in charts, in order. */
export const GROUP_COLOURS = ["--cn-1", "--cn-2", "--cn-3", "--cn-4", "--cn-5", "--cn-6"] as const;
