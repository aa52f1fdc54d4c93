// Finds every visible text whose contrast with what lies behind it is under 4.5 : 1 (WCAG 2.2, 1.4.3, AA).
() => {
  const canvas = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });

  const rgba = (colour) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  const linear = (value) => (value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4);
  const luminance = ([r, g, b]) => 0.2126 * linear(r / 255) + 0.7152 * linear(g / 255) + 0.0722 * linear(b / 255);
  const over = (top, below) => below.map((value, i) => top[i] * (top[3] / 255) + value * (1 - top[3] / 255));

  const behind = (node) => {
    const layers = [];
    for (let n = node; n; n = n.parentElement) layers.unshift(rgba(getComputedStyle(n).backgroundColor));
    return layers.reduce((below, top) => over(top, below), [255, 255, 255]);
  };

  const poor = new Set();
  for (const node of document.querySelectorAll("body *")) {
    const hasText = [...node.childNodes].some((child) => child.nodeType === 3 && child.textContent.trim());
    if (!hasText || !node.checkVisibility({ opacityProperty: true }) || node.disabled) continue;
    if (node.closest("svg, option, .visually-hidden, .skip")) continue;
    const ground = behind(node);
    const levels = [luminance(over(rgba(getComputedStyle(node).color), ground)), luminance(ground)];
    const ratio = (Math.max(...levels) + 0.05) / (Math.min(...levels) + 0.05);
    if (ratio < 4.5) poor.add(`${node.className || node.tagName} "${node.textContent.trim()}": ${ratio.toFixed(2)}`);
  }
  return [...poor];
}
