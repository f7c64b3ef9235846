// Reads the clip's numbers back from what is drawn: which frames were seen, when, at what size.
// Installed by the lab only.
if (!window.bedsideLab) {
  const BLOCKS = 40;
  const KEEP_EVERY_MS = 3000;
  const lab = { seen: [], sent: [], kept: [], keepFrom: Infinity, errors: [] };
  window.bedsideLab = lab;

  // The number in rows of luma; see code_strip.py.
  const decode = (luma, stride, width) => {
    const side = width / BLOCKS;
    const row = Math.floor(side / 2) * stride;
    const seen = [];
    for (let block = 0; block < 33; block++) {
      const from = Math.floor((block + 0.25) * side);
      const to = Math.max(from + 1, Math.ceil((block + 0.75) * side));
      let sum = 0;
      for (let x = from; x < to; x++) sum += luma(row + x);
      seen.push(sum / (to - from));
    }
    const white = (seen[0] + seen[2] + seen[29] + seen[31]) / 4;
    const black = (seen[1] + seen[3] + seen[28] + seen[30]) / 4;
    if (white - black < 60) return null;
    const bits = seen.map((light) => (light > (white + black) / 2 ? 1 : 0));
    if (bits.slice(0, 4).join("") !== "1010" || bits.slice(28, 32).join("") !== "0101") return null;
    let [number, last, parity] = [0, 0, 0];
    for (let at = 4; at < 16; at++) {
      if (bits[at] === bits[at + 12]) return null;
      parity ^= bits[at];
      last ^= bits[at];
      number = number * 2 + last;
    }
    return parity === bits[32] ? number : null;
  };

  let [lastNumber, keptAt] = [null, 0];
  const note = (now, number, width, height) => {
    if (number === null || number === lastNumber) return false;
    lastNumber = number;
    lab.seen.push([now, number, width, height]);
    const isKept = now >= lab.keepFrom && now - keptAt >= KEEP_EVERY_MS;
    if (isKept) keptAt = now;
    return isKept;
  };

  // A frame's strip, or all of it, as planes: copied, not drawn. Closes it.
  const planes = async (frame, isWhole) => {
    try {
      const { width, height } = frame.visibleRect;
      const rows = Math.max(2, Math.ceil(width / BLOCKS / 2) * 2);
      const rect = { x: 0, y: 0, width, height: isWhole ? height : rows };
      const data = new Uint8Array(frame.allocationSize({ rect }));
      const [luma] = await frame.copyTo(data, { rect });
      return { width, height, stride: luma.stride, data: data.subarray(luma.offset) };
    } finally {
      frame.close();
    }
  };

  const look = async (frame) => {
    const again = frame.clone();
    try {
      const at = Date.now();
      const strip = await planes(frame, false);
      if (note(at, decode((at) => strip.data[at], strip.stride, strip.width), strip.width, strip.height)) {
        lab.kept.push({ at, ...(await planes(again, true)) });
      }
    } catch (error) {
      lab.errors.push(String(error));
    } finally {
      again.close();
    }
  };

  // What is drawn, where WebKit's frames still have the size of the stream's first.
  const lookAt = (context) => {
    const { width, height } = context.canvas;
    const at = Date.now();
    const strip = context.getImageData(0, 0, width, Math.ceil(width / BLOCKS)).data;
    // Green is most of the luma, and the strip has no colour. Full range to studio range, BT.601.
    if (!note(at, decode((n) => strip[n * 4 + 1], width, width), width, height)) return;
    const whole = context.getImageData(0, 0, width, height).data;
    const luma = (n) => 65.481 * whole[n * 4] + 128.553 * whole[n * 4 + 1] + 24.966 * whole[n * 4 + 2];
    const data = Uint8Array.from({ length: width * height }, (_, n) => Math.round(16 + luma(n) / 255));
    lab.kept.push({ at, width, height, stride: width, data });
  };

  // In Bedside's page: every frame that is drawn as the other's.
  const draw = CanvasRenderingContext2D.prototype.drawImage;
  CanvasRenderingContext2D.prototype.drawImage = function (image, ...where) {
    draw.call(this, image, ...where);
    if (!this.canvas.matches(".remote") || !(image instanceof VideoFrame)) return;
    if (image.visibleRect.width === this.canvas.width) look(image.clone());
    else lookAt(this);
  };

  // In the browser: every frame that is presented, and now and then one of one's own.
  lab.watch = (remote, own) => {
    const see = () => {
      remote.requestVideoFrameCallback(see);
      try {
        look(new VideoFrame(remote));
      } catch (error) {
        lab.errors.push(String(error));
      }
    };
    remote.requestVideoFrameCallback(see);
    const sends = async (now, { captureTime }) => {
      try {
        const strip = await planes(new VideoFrame(own), false);
        const number = decode((at) => strip.data[at], strip.stride, strip.width);
        if (number !== null) lab.sent.push([number, performance.timeOrigin + (captureTime ?? now)]);
      } catch (error) {
        lab.errors.push(String(error));
      }
      setTimeout(() => own.requestVideoFrameCallback(sends), 200);
    };
    own.requestVideoFrameCallback(sends);
  };

  // One of the kept frames: its luma as base64.
  lab.take = (index) => {
    const { at, width, height, stride, data } = lab.kept[index];
    let text = "";
    for (let y = 0; y < height; y++) {
      text += String.fromCharCode(...data.subarray(y * stride, y * stride + width));
    }
    return { at, width, height, luma: btoa(text) };
  };
}
