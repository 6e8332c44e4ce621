// How a slice is painted: the image, the label maps over it as areas or as outlines, the drawing.
//
// NiiVue marks the border of a label in three dimensions, which in a thin bone is all of it. Here
// an outline is found in the plane that is shown, in pixels of the screen: a pixel belongs to it if
// another label lies within the pen's width. So it looks alike on every grid and at every zoom.
export const SLICE_SHADER = `#version 300 es
precision highp int;
precision highp float;
uniform highp sampler3D volume, overlay;
uniform float overlayOutlineWidth;
uniform float overlayAlphaShader;
uniform float overlays;
uniform float opacity;
uniform float drawOpacity;
uniform highp sampler3D drawing;
uniform highp sampler2D colormap;
in vec3 texPos;
out vec4 color;

vec4 drawColor(float scalar) {
  float nlayer = float(textureSize(colormap, 0).y);
  float layer = (nlayer - 0.5) / nlayer;
  vec4 found = texture(colormap, vec2((scalar * 255.0) / 256.0 + 0.5 / 256.0, layer));
  return vec4(found.rgb, found.a * drawOpacity);
}

// The label of the voxel itself: between voxels colours would mix.
vec4 labelAt(vec3 place) {
  vec3 size = vec3(textureSize(overlay, 0));
  return texture(overlay, (floor(place * size) + 0.5) / size);
}

bool differs(vec4 here, vec3 place) {
  vec4 there = labelAt(place);
  return abs(there.a - here.a) > 0.2 || distance(there.rgb * there.a, here.rgb * here.a) > 0.06;
}

bool onRim(vec4 here) {
  vec3 across = dFdx(texPos) * overlayOutlineWidth, down = dFdy(texPos) * overlayOutlineWidth;
  return differs(here, texPos + across) || differs(here, texPos - across)
    || differs(here, texPos + down) || differs(here, texPos - down);
}

void main() {
  vec4 background = texture(volume, texPos);
  color = vec4(background.rgb, opacity);
  if (overlays > 0.0) {
    vec4 label = overlayOutlineWidth > 0.0 ? labelAt(texPos) : texture(overlay, texPos);
    float share = label.a * overlayAlphaShader;
    if (overlayOutlineWidth > 0.0) share = label.a > 0.05 && onRim(label) ? 1.0 : 0.0;
    color.rgb = mix(color.rgb, label.rgb, share);
  }
  vec4 drawn = drawColor(texture(drawing, texPos).r);
  color.rgb = mix(color.rgb, drawn.rgb, drawn.a);
}`;
export const OUTLINE_PIXELS = 1.6;
