// The live picture: plain pictures with class maps come over a WebSocket, and the mask is drawn here.

import { streamPath } from './api.js';

/** How long it waits before it connects again. */
const RETRY_MS = 2000;

/** Takes a message apart (docs/formats.md, "Messages of the preview"): three lengths, a header, a JPEG, a class map. */
function parts(message) {
  const lengths = new DataView(message, 0, 12);
  let at = 12;
  return [0, 4, 8].map((offset) => {
    const length = lengths.getUint32(offset, true);
    const part = new Uint8Array(message, at, length);
    at += length;
    return part;
  });
}

/**
 * The ids of a class map, row by row. A browser's own decoder would give colours, and two classes may share one. The server
 * writes indexed PNG of eight bits with rows as they are.
 */
async function classIds(png) {
  const view = new DataView(png.buffer, png.byteOffset, png.byteLength);
  const [data, header] = [[], { width: 0, height: 0 }];
  for (let at = 8; at + 12 <= png.length;) {
    const length = view.getUint32(at);
    const kind = String.fromCharCode(...png.subarray(at + 4, at + 8));
    if (kind === 'IHDR') [header.width, header.height] = [view.getUint32(at + 8), view.getUint32(at + 12)];
    if (kind === 'IDAT') data.push(png.subarray(at + 8, at + 8 + length));
    at += 12 + length;
  }
  const unpacked = new Blob(data).stream().pipeThrough(new DecompressionStream('deflate'));
  const rows = new Uint8Array(await new Response(unpacked).arrayBuffer());
  const { width, height } = header;
  const ids = new Uint8Array(width * height);
  for (let y = 0; y < height; y += 1) {
    const row = y * (width + 1);
    if (rows[row] !== 0) throw new Error('a row of the class map is filtered');
    ids.set(rows.subarray(row + 1, row + 1 + width), y * width);
  }
  return { width, height, ids };
}

/** One stream's picture on a canvas. */
export class Picture {
  constructor(canvas, name) {
    this.canvas = canvas;
    this.name = name;
    /** Colour of each class id that is drawn, as RGBA in the order of the bytes in memory; 0 for others. */
    this.colors = new Uint32Array(256);
    this.alpha = 0.5;
    /** Polygons in shares of the picture. */
    this.zones = [];
    this.mask = document.createElement('canvas');
    this.newest = null;
    this.socket = null;
    this.retry = null;
    this.wanted = false;
    /** Before its net is open, a stream has no pictures. */
    this.ready = false;
    this.seen = new IntersectionObserver((entries) => {
      this.wanted = entries.at(-1).isIntersecting;
      this.#connectOrLeave();
    });
    this.seen.observe(canvas);
    this.onVisibility = () => this.#connectOrLeave();
    document.addEventListener('visibilitychange', this.onVisibility);
  }

  /** Which classes are drawn, in which colours, and how strongly. It acts at once, on the picture that is there. */
  dress(classes, shown, alpha) {
    this.alpha = alpha;
    this.colors.fill(0);
    const bytes = new Uint8Array(this.colors.buffer);
    for (const { id, color } of classes.filter((c) => shown.has(c.name))) {
      const rgb = [1, 3, 5].map((at) => parseInt(color.slice(at, at + 2), 16));
      bytes.set([...rgb, 255], 4 * id);
    }
    this.#draw();
    this.ready = classes.length > 0;
    this.#connectOrLeave();
  }

  close() {
    this.seen.disconnect();
    document.removeEventListener('visibilitychange', this.onVisibility);
    this.wanted = false;
    this.#connectOrLeave();
  }

  /** Nobody looks, so nothing is sent. */
  #connectOrLeave() {
    const wanted = this.wanted && this.ready && document.visibilityState === 'visible';
    if (wanted && !this.socket && !this.retry) this.#connect();
    if (!wanted && this.socket) {
      this.socket.close();
      this.socket = null;
    }
  }

  #connect() {
    const scheme = location.protocol === 'https:' ? 'wss' : 'ws';
    const socket = new WebSocket(`${scheme}://${location.host}${streamPath(this.name, '/live')}`);
    this.socket = socket;
    socket.binaryType = 'arraybuffer';
    // Each picture is asked for when the one before is drawn, so that none waits on the way and gets old.
    socket.onopen = () => socket.send('next');
    socket.onmessage = async ({ data }) => {
      try {
        await this.#take(data);
      } catch (error) {
        console.warn(`a picture of ${this.name} cannot be drawn: ${error.message}`);
      }
      if (socket.readyState === WebSocket.OPEN) socket.send('next');
    };
    socket.onclose = () => {
      if (this.socket !== socket) return;
      this.socket = null;
      this.retry = setTimeout(() => {
        this.retry = null;
        this.#connectOrLeave();
      }, RETRY_MS);
    };
  }

  async #take(message) {
    const [head, jpeg, png] = parts(message);
    const header = JSON.parse(new TextDecoder().decode(head));
    const [bitmap, map] = await Promise.all([
      createImageBitmap(new Blob([jpeg], { type: 'image/jpeg' })),
      png.length > 0 ? classIds(png) : null,
    ]);
    this.newest?.bitmap.close();
    this.newest = { header, bitmap, map };
    this.#draw();
  }

  #draw() {
    if (!this.newest) return;
    const { header, bitmap, map } = this.newest;
    const { canvas } = this;
    if (canvas.width !== bitmap.width || canvas.height !== bitmap.height) {
      [canvas.width, canvas.height] = [bitmap.width, bitmap.height];
    }
    const context = canvas.getContext('2d');
    context.drawImage(bitmap, 0, 0);
    if (map) this.#drawMask(context, map);
    this.#drawZones(context, header.zones_on ?? []);
    canvas.dataset.index = header.index;
  }

  #drawMask(context, { width, height, ids }) {
    if (this.mask.width !== width || this.mask.height !== height) [this.mask.width, this.mask.height] = [width, height];
    const pixels = new Uint32Array(width * height);
    for (let i = 0; i < pixels.length; i += 1) pixels[i] = this.colors[ids[i]];
    this.mask.getContext('2d').putImageData(new ImageData(new Uint8ClampedArray(pixels.buffer), width, height), 0, 0);
    context.save();
    context.globalAlpha = this.alpha;
    context.imageSmoothingEnabled = false;
    context.drawImage(this.mask, 0, 0, context.canvas.width, context.canvas.height);
    context.restore();
  }

  #drawZones(context, on) {
    const { width, height } = context.canvas;
    this.zones.forEach((polygon, number) => {
      context.beginPath();
      for (const [x, y] of polygon) context.lineTo(x * width, y * height);
      context.closePath();
      for (const [line, color] of [[5, '#000'], [3, on[number] ? '#ff4d4d' : '#fff']]) {
        context.lineWidth = line;
        context.strokeStyle = color;
        context.stroke();
      }
    });
  }
}
