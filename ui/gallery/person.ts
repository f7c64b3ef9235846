import type { Pictures } from "../src/api/bindings";

const [WIDTH, HEIGHT] = [640, 360];
const HEADER = 16;

type Colour = readonly [y: number, u: number, v: number];

const LOOKS: Record<
  Exclude<Pictures, "screen">,
  { wall: Colour; skin: Colour; shirt: Colour; hair: Colour }
> = {
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
  if (which === "screen") return picture(page);
  const { wall, skin, shirt, hair } = LOOKS[which];
  const inside = (x: number, y: number, cx: number, cy: number, rx: number, ry: number) =>
    ((x - cx) / rx) ** 2 + ((y - cy) / ry) ** 2 < 1;
  const at = (x: number, y: number): Colour => {
    if (inside(x, y, 320, 160, 62, 82)) return inside(x, y, 320, 96, 80, 40) ? hair : skin;
    if (inside(x, y, 320, 140, 78, 96) && y < 190) return hair;
    if (inside(x, y, 320, 380, 170, 130)) return shirt;
    const [luma, u, v] = wall;
    return [luma + (x / WIDTH) * 40 - (y / HEIGHT) * 30, u, v];
  };
  return picture(at);
}

/** A page with lines of text. */
function page(x: number, y: number): Colour {
  const isText = y > 60 && y % 18 < 7 && x > 60 && x < 560 - ((y * 7) % 90) && (x * 3 + y) % 11 > 2;
  if (y < 36) return [90, 132, 122];
  return isText ? [60, 128, 128] : [232, 128, 128];
}

/** A raw picture, as the core sends it. */
function picture(at: (x: number, y: number) => Colour): ArrayBuffer {
  const message = new ArrayBuffer(HEADER + (WIDTH * HEIGHT * 3) / 2);
  const view = new DataView(message);
  view.setUint8(0, 1);
  view.setUint8(1, 1);
  view.setUint16(2, WIDTH, true);
  view.setUint16(4, HEIGHT, true);
  const planes = new Uint8Array(message, HEADER);
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
