// The picture before and after, with a divider between them that the pointer and a slider move.

export class Viewer {
  /** `onMove` is called when the divider was moved by the pointer, with its place in percent. */
  constructor({viewer, sheet, before, clip, after, divider, tags}, onMove) {
    Object.assign(this, {viewer, sheet, before, clip, after, divider, tags, onMove});
    this.place = 50;
    this.actual = false;
    this.width = this.height = 1;
    new ResizeObserver(() => this.layout()).observe(viewer.parentElement);
    viewer.addEventListener('scroll', () => this.drawDivider(), {passive: true});
    this.#moveDividerByPointer();
    this.#zoomAndPanByPointer();
  }

  /** Takes the bitmap; the picture after is empty. */
  show(bitmap) {
    this.width = bitmap.width;
    this.height = bitmap.height;
    for (const canvas of [this.before, this.after]) {
      canvas.width = this.width;
      canvas.height = this.height;
    }
    this.before.getContext('bitmaprenderer').transferFromImageBitmap(bitmap);
    this.context = this.after.getContext('2d', {willReadFrequently: true});
    this.clearAfter();
    this.layout();
  }

  clearAfter() {
    this.context.clearRect(0, 0, this.width, this.height);
  }

  draw(imageData, x, y) {
    this.context.putImageData(imageData, x, y);
  }

  setPlace(percent) {
    this.place = percent;
    this.drawDivider();
  }

  setStrength(share) {
    this.after.style.opacity = share;
  }

  /** One pixel of the picture is one of the screen, with the point (x, y) in the middle. */
  setActual(actual, x = this.width / 2, y = this.height / 2) {
    this.actual = actual;
    this.viewer.classList.toggle('actual', actual);
    this.layout();
    if (actual) {
      this.viewer.tabIndex = 0;  // to scroll by keyboard
      this.viewer.scrollLeft = x * this.scale - this.viewer.clientWidth / 2;
      this.viewer.scrollTop = y * this.scale - this.viewer.clientHeight / 2;
    } else {
      this.viewer.removeAttribute('tabindex');
    }
    this.drawDivider();
  }

  layout() {
    const room = this.viewer.parentElement.clientWidth;
    const most = parseFloat(getComputedStyle(this.viewer).maxHeight);
    const maxHeight = Number.isFinite(most) ? most : innerHeight * 0.72;
    const one = 1 / devicePixelRatio;
    this.scale = this.actual ? one : Math.min(1, room / this.width, maxHeight / this.height);
    this.sheet.style.width = `${this.width * this.scale}px`;
    this.sheet.style.height = `${this.height * this.scale}px`;
    this.drawDivider();
  }

  /** The part of the viewer's width that shows the picture. */
  get #visible() {
    const start = this.sheet.offsetLeft - this.viewer.scrollLeft;
    return {
      start,
      left: Math.max(0, start),
      right: Math.min(this.viewer.clientWidth, start + this.sheet.offsetWidth),
    };
  }

  drawDivider() {
    const {start, left, right} = this.#visible;
    const x = left + (right - left) * this.place / 100;
    this.divider.style.left = `${x}px`;
    this.clip.style.clipPath = `inset(0 0 0 ${x - start}px)`;
    // Each tag is on its side of the divider, where there is room for it.
    const [before, after] = this.tags, margin = 12;
    before.style.left = `${left + margin}px`;
    before.style.visibility = x - left < before.offsetWidth + 2 * margin ? 'hidden' : 'visible';
    after.style.left = `${right - margin - after.offsetWidth}px`;
    after.style.visibility = right - x < after.offsetWidth + 2 * margin ? 'hidden' : 'visible';
  }

  #moveDividerByPointer() {
    const move = (event) => {
      const {left, right} = this.#visible;
      const x = event.clientX - this.viewer.getBoundingClientRect().left;
      this.setPlace(Math.min(100, Math.max(0, 100 * (x - left) / (right - left))));
      this.onMove(this.place);
    };
    this.divider.addEventListener('pointerdown', (event) => {
      if (event.button !== 0) return;
      event.preventDefault();
      this.divider.setPointerCapture(event.pointerId);
      this.divider.onpointermove = move;
    });
    this.divider.addEventListener('lostpointercapture', () => { this.divider.onpointermove = null; });
  }

  #zoomAndPanByPointer() {
    let last = null;
    this.viewer.addEventListener('pointerdown', (event) => {
      if (!this.actual || event.pointerType !== 'mouse' || event.button !== 0) return;
      event.preventDefault();
      last = event;
      this.viewer.setPointerCapture(event.pointerId);
      this.viewer.classList.add('panning');
    });
    this.viewer.addEventListener('pointermove', (event) => {
      if (!last) return;
      this.viewer.scrollLeft -= event.clientX - last.clientX;
      this.viewer.scrollTop -= event.clientY - last.clientY;
      last = event;
    });
    this.viewer.addEventListener('lostpointercapture', () => {
      last = null;
      this.viewer.classList.remove('panning');
    });
    this.viewer.addEventListener('click', (event) => {
      if (this.actual) return;
      const box = this.sheet.getBoundingClientRect();
      this.onZoom?.((event.clientX - box.left) / this.scale, (event.clientY - box.top) / this.scale);
    });
  }
}
