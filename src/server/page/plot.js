// Shares of the classes over the last minutes, as areas that lie on each other.

/** So far back, in milliseconds. */
const SPAN_MS = 5 * 60 * 1000;
/** Samples that are further apart have a gap between them. */
const GAP_MS = 4000;

export class Plot {
  constructor(canvas) {
    this.canvas = canvas;
    /** `{ at, shares: Map of class name to share, or null where nothing was seen }`, oldest first. */
    this.samples = [];
    this.classes = [];
  }

  /** What was seen at a time; `shares` is null where the source gave nothing. */
  add(at, shares, classes) {
    this.classes = classes;
    this.samples.push({ at, shares: shares && new Map(shares.map((s) => [s.class, s.share])) });
    while (this.samples[0].at < at - SPAN_MS) this.samples.shift();
    this.draw(at);
  }

  draw(now) {
    const { canvas } = this;
    const ratio = devicePixelRatio;
    const [width, height] = [canvas.clientWidth, canvas.clientHeight];
    if (width === 0) return;
    if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
      [canvas.width, canvas.height] = [Math.round(width * ratio), Math.round(height * ratio)];
    }
    const context = canvas.getContext('2d');
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, width, height);
    const x = (at) => width * (1 - (now - at) / SPAN_MS);
    for (const run of this.#runs()) {
      const low = run.map(() => 0);
      for (const { name, color } of this.classes) {
        const high = run.map(({ shares }, i) => low[i] + (shares.get(name) ?? 0));
        context.beginPath();
        run.forEach(({ at }, i) => context.lineTo(x(at), height * (1 - high[i])));
        // One sample is a line of its own.
        if (run.length === 1) context.lineTo(x(run[0].at) + 2, height * (1 - high[0]));
        if (run.length === 1) context.lineTo(x(run[0].at) + 2, height * (1 - low[0]));
        for (let i = run.length - 1; i >= 0; i -= 1) context.lineTo(x(run[i].at), height * (1 - low[i]));
        context.closePath();
        context.fillStyle = color;
        context.fill();
        high.forEach((value, i) => { low[i] = value; });
      }
    }
  }

  /** Samples without a gap between them. */
  #runs() {
    const runs = [];
    let before = null;
    for (const sample of this.samples) {
      if (sample.shares) {
        if (before?.shares && sample.at - before.at < GAP_MS) runs.at(-1).push(sample);
        else runs.push([sample]);
      }
      before = sample;
    }
    return runs;
  }
}
