// What the left button does in a panel while a pen or the ruler is in the hand.

export function dragTool(panel, start) {
  const tile = panel.tileAt(start), box = panel.canvas.parentElement;
  start.stopPropagation();
  start.preventDefault();
  if (!tile || panel.fractionAt(start)[0] < 0) return;
  const tool = panel.drawing ? pen(panel, tile.plane) : ruler(panel, tile.plane);
  box.setPointerCapture(start.pointerId);
  tool.begin(start);
  const move = (event) => { if (panel.tileAt(event)?.plane === tile.plane && panel.fractionAt(event)[0] >= 0) tool.move(event); };
  const heard = [["pointermove", move], ["pointerup", end], ["pointercancel", end]];
  function end() {
    for (const [name, listener] of heard) box.removeEventListener(name, listener);
    tool.end();
  }
  for (const [name, listener] of heard) box.addEventListener(name, listener);
}

function pen(panel, plane) {
  return {
    begin: (event) => { panel.drawing.begin(panel.fractionAt(event), plane); panel.refresh("drawing"); },
    move: (event) => { panel.drawing?.move(panel.fractionAt(event)); panel.refresh("drawing"); },
    end: () => {
      panel.drawing?.end();
      panel.refresh("drawing");
      panel.events.drawn(panel);
    },
  };
}

function ruler(panel, plane) {
  const { marks } = panel;
  return {
    begin: (event) => { marks.ruler = { plane, from: panel.mmAt(event), to: panel.mmAt(event) }; },
    move: (event) => { marks.ruler = { ...marks.ruler, to: panel.mmAt(event) }; marks.draw(); },
    end: () => {
      if (marks.ruler.from.some((value, axis) => value !== marks.ruler.to[axis])) marks.rulers.push(marks.ruler);
      marks.ruler = null;
      marks.draw();
    },
  };
}

// The pen's size where the mouse is, or the outline drawn so far.
export function showPen(panel, event) {
  const tile = panel.drawing && panel.tileAt(event);
  if (!tile) return;
  const { drawing } = panel, at = panel.inCanvas(event);
  const path = drawing.outline?.map((voxel) => panel.mmOf(voxel.map((value, axis) => (value + 0.5) / drawing.size[axis])));
  const radius = drawing.pen.tool === "fill" ? 2 : drawing.pen.diameter / 2 * panel.pixelsPerMm(event, tile.plane);
  panel.marks.pen = { plane: tile.plane, at, radius, path };
  panel.marks.draw();
}
