import type { Pictures } from "../src/api/bindings";

const [WIDTH, HEIGHT] = [640, 360];
const HEADER = 16;

type Colour = readonly [y: number, u: number, v: number];

const LOOKS: Record<Pictures, { wall: Colour; skin: Colour; shirt: Colour; hair: Colour }> = {
  remote: {
    wall: [150, 120, 134],
    skin: [165, 108, 152],
    shirt: [205, 126, 126],
    hair: [40, 126, 132],
  },
  own: {
    wall: [120, 130, 122],
    skin: [180, 112, 148],
    shirt: [90, 150, 116],
    hair: [150, 124, 130],
  },
};

/** Somebody before a wall, as a message of the core: a raw picture (see `feed.rs`). */
export function person(which: Pictures): ArrayBuffer {
  const { wall, skin, shirt, hair } = LOOKS[which];
  const message = new ArrayBuffer(HEADER + (WIDTH * HEIGHT * 3) / 2);
  const view = new DataView(message);
  view.setUint8(0, 1);
  view.setUint8(1, 1);
  view.setUint16(2, WIDTH, true);
  view.setUint16(4, HEIGHT, true);
  const planes = new Uint8Array(message, HEADER);
  const inside = (x: number, y: number, cx: number, cy: number, rx: number, ry: number) =>
    ((x - cx) / rx) ** 2 + ((y - cy) / ry) ** 2 < 1;
  const at = (x: number, y: number): Colour => {
    if (inside(x, y, 320, 160, 62, 82)) return inside(x, y, 320, 96, 80, 40) ? hair : skin;
    if (inside(x, y, 320, 140, 78, 96) && y < 190) return hair;
    if (inside(x, y, 320, 380, 170, 130)) return shirt;
    const [luma, u, v] = wall;
    return [luma + (x / WIDTH) * 40 - (y / HEIGHT) * 30, u, v];
  };
  const chroma = WIDTH * HEIGHT;
  for (let y = 0; y < HEIGHT; y++) {
    for (let x = 0; x < WIDTH; x++) {
      const [luma, u, v] = at(x, y);
      planes[y * WIDTH + x] = luma;
      const index = chroma + (y >> 1) * (WIDTH >> 1) + (x >> 1);
      planes[index] = u;
      planes[index + chroma / 4] = v;
    }
  }
  return message;
}
