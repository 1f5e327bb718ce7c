// Unpacks plotly and puts live figures over the SVGs. Each SVG stays where that
// fails; on paper it is always the SVG that is shown.
(async () => {
  const root = document.documentElement;
  const packed = document.getElementById('plotly-gzip');
  const source = document.getElementById('figures');
  if (!packed || !source || typeof DecompressionStream === 'undefined') {
    root.dataset.plotly = 'off';
    return;
  }
  const bytes = Uint8Array.from(atob(packed.textContent.trim()), (c) => c.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream('gzip'));
  const script = document.createElement('script');
  script.textContent = await new Response(stream).text();
  document.head.append(script);
  if (typeof Plotly === 'undefined') {
    root.dataset.plotly = 'off';
    return;
  }
  const webgl = (() => {
    try {
      return Boolean(document.createElement('canvas').getContext('webgl'));
    } catch {
      return false;
    }
  })();

  const config = { responsive: true, displaylogo: false, displayModeBar: 'hover', modeBarButtonsToRemove: ['lasso2d', 'select2d'] };
  // Far-off figures wait until they are near the screen or nobody else does.
  const swap = async (figure) => {
    const box = document.getElementById('box-' + figure.name);
    if (!box || (figure.kind === 'surface' && !webgl)) return;
    const still = box.querySelector('.still');
    const live = document.createElement('div');
    live.className = 'live';
    live.setAttribute('role', 'img');
    live.setAttribute('aria-label', box.querySelector('.title').textContent);
    const height = Math.max(still.getBoundingClientRect().height, 300);
    live.style.height = height + 'px';
    box.querySelector('.plot').append(live);
    box.classList.add('swapped');
    try {
      await Plotly.newPlot(live, figure.data, { ...figure.layout, height }, config);
    } catch (error) {
      console.warn('figure stays as it is:', figure.name, error);
      live.remove();
      box.classList.remove('swapped');
      return;
    }
    if (figure.kind !== 'surface') {
      // While zoomed in, plotly chooses ticks; in the whole view they are the SVG's.
      const near = (a, b) => Math.abs(a - b) <= 1e-6 * (Math.abs(a) + Math.abs(b));
      live.on('plotly_relayout', (change) => {
        const modes = {};
        for (const axis of ['xaxis', 'yaxis']) {
          const from = change[axis + '.range[0]'], to = change[axis + '.range[1]'];
          if (from === undefined || to === undefined) continue;
          const whole = figure.layout[axis].range;
          modes[axis + '.tickmode'] = near(from, whole[0]) && near(to, whole[1]) ? 'array' : 'auto';
        }
        if (Object.keys(modes).length > 0) Plotly.relayout(live, modes);
      });
    }
    if (figure.offset === undefined) return;
    const button = document.createElement('button');
    button.type = 'button';
    button.textContent = figure.offset_label;
    button.setAttribute('aria-pressed', 'false');
    const above = (values) => values.map((v) => (v !== null && v > figure.offset ? v - figure.offset : null));
    button.addEventListener('click', () => {
      const on = button.getAttribute('aria-pressed') !== 'true';
      button.setAttribute('aria-pressed', String(on));
      const data = on ? figure.data.map((t) => ({ ...t, y: above(t.y) })) : figure.data;
      const { range, tickmode, tickvals, ticktext, ...axis } = figure.layout.yaxis;
      const yaxis = on ? { ...axis, type: 'log', autorange: true, title: { text: figure.offset_label.split(',')[0] } }
                       : figure.layout.yaxis;
      Plotly.react(live, data, { ...figure.layout, height, yaxis }, config);
    });
    box.querySelector('.title').append(button);
  };
  for (const figure of JSON.parse(source.textContent)) {
    await swap(figure);
    await new Promise((next) => setTimeout(next, 0));
  }
  root.dataset.plotly = 'on';
})();
