import type { QualityCurve } from "./quality.js";

const WIDTH = 560;
const HEIGHT = 360;
const MARGIN = { left: 64, right: 16, top: 36, bottom: 48 };
const COLORS = ["#0b6e4f", "#b5523b", "#3b5bb5", "#8a6d00"];

/** Error (logarithmic) against kept fraction, as a self-contained SVG. */
export function qualityPlot(title: string, curves: readonly QualityCurve[]): string {
  const errors = curves
    .flatMap(({ points }) => points.map(({ error }) => error))
    .filter((error) => error > 0);
  const [least, most] = [
    Math.floor(Math.log10(Math.max(Math.min(...errors), 1e-5))),
    Math.ceil(Math.log10(Math.max(...errors))),
  ];
  const x = (kept: number) => MARGIN.left + kept * (WIDTH - MARGIN.left - MARGIN.right);
  const y = (error: number) => {
    const part = (Math.log10(Math.max(error, 10 ** least)) - least) / (most - least || 1);
    return HEIGHT - MARGIN.bottom - part * (HEIGHT - MARGIN.top - MARGIN.bottom);
  };
  const lines = curves.map(({ name, points }, index) => {
    const color = COLORS[index % COLORS.length];
    const sorted = points.toSorted((a, b) => a.kept - b.kept);
    const path = sorted.map(({ kept, error }) => `${x(kept).toFixed(1)},${y(error).toFixed(1)}`).join(" ");
    const dots = sorted.map(
      ({ kept, error }) =>
        `<circle cx="${x(kept).toFixed(1)}" cy="${y(error).toFixed(1)}" r="3" fill="${color}"><title>${name}: kept ${kept.toFixed(3)}, error ${error.toExponential(2)}</title></circle>`,
    );
    const legend = `<text x="${WIDTH - MARGIN.right - 4}" y="${MARGIN.top + 14 + 16 * index}" text-anchor="end" fill="${color}">${name}</text>`;
    return `<polyline points="${path}" fill="none" stroke="${color}" stroke-width="1.5"/>${dots.join("")}${legend}`;
  });
  const xTicks = [0, 0.2, 0.4, 0.6, 0.8, 1].map(
    (kept) =>
      `<line x1="${x(kept)}" x2="${x(kept)}" y1="${MARGIN.top}" y2="${HEIGHT - MARGIN.bottom}" stroke="#ddd"/><text x="${x(kept)}" y="${HEIGHT - MARGIN.bottom + 16}" text-anchor="middle">${kept}</text>`,
  );
  const yTicks = Array.from({ length: most - least + 1 }, (_, n) => 10 ** (least + n)).map(
    (error) =>
      `<line x1="${MARGIN.left}" x2="${WIDTH - MARGIN.right}" y1="${y(error)}" y2="${y(error)}" stroke="#ddd"/><text x="${MARGIN.left - 8}" y="${y(error) + 4}" text-anchor="end">${error.toExponential(0)}</text>`,
  );
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" width="${WIDTH}" height="${HEIGHT}" font-family="sans-serif" font-size="12">
<title>Error against kept fraction: ${title}</title>
<rect width="${WIDTH}" height="${HEIGHT}" fill="white"/>
<text x="${WIDTH / 2}" y="20" text-anchor="middle" font-size="14">${title}</text>
${xTicks.join("")}${yTicks.join("")}
<text x="${(WIDTH + MARGIN.left) / 2}" y="${HEIGHT - 10}" text-anchor="middle">kept fraction of causal blocks</text>
<text transform="translate(14 ${HEIGHT / 2}) rotate(-90)" text-anchor="middle">error, relative L1</text>
${lines.join("\n")}
</svg>
`;
}
