/* SPDX-License-Identifier: Apache-2.0 */
/* A scene that needs depth and a texture to look right: cubes with a chequered texture that stand
 * in each other, on a floor. */
#include "gpu_work.h"

#include <math.h>
#include <string.h>

enum { CUBE_COUNT = 9, TEXTURE_SIZE = 64 };

static const char vertex_source[] =
    "#version 430 core\n"
    "layout(location = 0) uniform mat4 view;\n"
    "layout(location = 1) uniform vec4 place;\n" /* x, y, z, turned by w */
    "layout(location = 2) uniform vec3 size;\n"
    "out vec3 normal;\n"
    "out vec2 at;\n"
    "const vec2 corners[6] = vec2[](vec2(-1, -1), vec2(1, -1), vec2(1, 1), vec2(-1, -1), vec2(1, "
    "1), vec2(-1, 1));\n"
    "void main() {\n"
    "  int side = gl_VertexID / 6;\n"
    "  vec2 corner = corners[gl_VertexID % 6];\n"
    "  float way = side % 2 == 0 ? 1.0 : -1.0;\n"
    "  vec3 point = side < 2 ? vec3(way, corner) : side < 4 ? vec3(corner.y, way, corner.x) : "
    "vec3(corner, way);\n"
    "  vec3 out_of = side < 2 ? vec3(way, 0, 0) : side < 4 ? vec3(0, way, 0) : vec3(0, 0, way);\n"
    "  mat3 turn = mat3(cos(place.w), 0, -sin(place.w), 0, 1, 0, sin(place.w), 0, cos(place.w));\n"
    "  normal = turn * out_of;\n"
    "  at = corner * 0.5 + 0.5;\n"
    "  gl_Position = view * vec4(turn * (point * size) + place.xyz, 1);\n"
    "}\n";

static const char fragment_source[] =
    "#version 430 core\n"
    "layout(location = 3) uniform vec3 colour;\n"
    "layout(location = 4) uniform float tiles;\n"
    "layout(binding = 0) uniform sampler2D image;\n"
    "in vec3 normal;\n"
    "in vec2 at;\n"
    "out vec4 result;\n"
    "void main() {\n"
    "  float light = 0.35 + 0.65 * max(dot(normalize(normal), normalize(vec3(0.4, 0.8, 0.5))), "
    "0.0);\n"
    "  result = vec4(colour * texture(image, at * tiles).rgb * light, 1);\n"
    "}\n";

static void multiply(float* result, const float* left, const float* right) {
  for (int column = 0; column < 4; ++column) {
    for (int row = 0; row < 4; ++row) {
      float sum = 0;
      for (int i = 0; i < 4; ++i) {
        sum += left[i * 4 + row] * right[column * 4 + i];
      }
      result[column * 4 + row] = sum;
    }
  }
}

/* A camera that looks down on the middle from 9 units away, with a field of view of some 40
 * degrees. */
static void make_view(float* view, float angle) {
  const float near = 1, far = 30, scale = 2.7f, down = 0.45f;
  const float c = cosf(angle), s = sinf(angle), cd = cosf(down), sd = sinf(down);
  const float turn[16] = {c, 0, s, 0, 0, 1, 0, 0, -s, 0, c, 0, 0, 0, 0, 1};
  const float tilt[16] = {1, 0, 0, 0, 0, cd, sd, 0, 0, -sd, cd, 0, 0, 0, -9, 1};
  const float lens[16] = {scale,
                          0,
                          0,
                          0,
                          0,
                          scale,
                          0,
                          0,
                          0,
                          0,
                          (far + near) / (near - far),
                          -1,
                          0,
                          0,
                          2 * far * near / (near - far),
                          0};
  float placed[16];
  multiply(placed, tilt, turn);
  multiply(view, lens, placed);
}

static void make_texture(void) {
  static uint8_t texels[TEXTURE_SIZE][TEXTURE_SIZE][4];
  GLuint texture;
  for (int y = 0; y < TEXTURE_SIZE; ++y) {
    for (int x = 0; x < TEXTURE_SIZE; ++x) {
      const int is_edge = x < 2 || y < 2 || x >= TEXTURE_SIZE - 2 || y >= TEXTURE_SIZE - 2;
      const int is_dark = ((x / 8) ^ (y / 8)) & 1;
      memset(texels[y][x], is_edge ? 40 : is_dark ? 150 : 255, 4);
    }
  }
  glGenTextures(1, &texture);
  glBindTexture(GL_TEXTURE_2D, texture);
  glTexImage2D(GL_TEXTURE_2D, 0, GL_RGBA8, TEXTURE_SIZE, TEXTURE_SIZE, 0, GL_RGBA, GL_UNSIGNED_BYTE,
               texels);
  glTexParameteri(GL_TEXTURE_2D, GL_TEXTURE_MIN_FILTER, GL_LINEAR);
  glTexParameteri(GL_TEXTURE_2D, GL_TEXTURE_MAG_FILTER, GL_LINEAR);
}

static void make_target(void) {
  GLuint frame, parts[2];
  glGenFramebuffers(1, &frame);
  glGenRenderbuffers(2, parts);
  glBindFramebuffer(GL_FRAMEBUFFER, frame);
  glBindRenderbuffer(GL_RENDERBUFFER, parts[0]);
  glRenderbufferStorage(GL_RENDERBUFFER, GL_RGBA8, PICTURE_SIZE, PICTURE_SIZE);
  glFramebufferRenderbuffer(GL_FRAMEBUFFER, GL_COLOR_ATTACHMENT0, GL_RENDERBUFFER, parts[0]);
  glBindRenderbuffer(GL_RENDERBUFFER, parts[1]);
  glRenderbufferStorage(GL_RENDERBUFFER, GL_DEPTH_COMPONENT24, PICTURE_SIZE, PICTURE_SIZE);
  glFramebufferRenderbuffer(GL_FRAMEBUFFER, GL_DEPTH_ATTACHMENT, GL_RENDERBUFFER, parts[1]);
  if (glCheckFramebufferStatus(GL_FRAMEBUFFER) != GL_FRAMEBUFFER_COMPLETE) {
    die("the frame buffer is not complete");
  }
  glViewport(0, 0, PICTURE_SIZE, PICTURE_SIZE);
  glEnable(GL_DEPTH_TEST);
}

static GLuint scene_program;

void prepare_scene(void) {
  GLuint vertices;
  scene_program = build_program(vertex_source, fragment_source);
  glGenVertexArrays(1, &vertices);
  glBindVertexArray(vertices);
  make_texture();
  make_target();
  check_gl("preparing the scene");
}

static void draw_box(float x, float y, float z, float turn, float width, float height, float tiles,
                     const float* colour) {
  glUniform4f(1, x, y, z, turn);
  glUniform3f(2, width, height, width);
  glUniform3fv(3, 1, colour);
  glUniform1f(4, tiles);
  glDrawArrays(GL_TRIANGLES, 0, 36);
}

void draw_scene(float angle) {
  static const float grey[3] = {0.55f, 0.57f, 0.62f};
  float view[16];
  make_view(view, angle);
  glUseProgram(scene_program);
  glUniformMatrix4fv(0, 1, GL_FALSE, view);
  glClearColor(0.10f, 0.12f, 0.18f, 1);
  glClear(GL_COLOR_BUFFER_BIT | GL_DEPTH_BUFFER_BIT);
  draw_box(0, -0.9f, 0, 0, 2.8f, 0.05f, 1, grey);
  for (int i = 0; i < CUBE_COUNT; ++i) {
    const float part = (float)i / CUBE_COUNT;
    const float colour[3] = {0.5f + 0.5f * cosf(6.2832f * part),
                             0.5f + 0.5f * cosf(6.2832f * part - 2.1f),
                             0.5f + 0.5f * cosf(6.2832f * part + 2.1f)};
    const float height = 0.35f + 0.5f * part;
    /* Their distance is less than their width: each stands in the next. */
    draw_box(1.6f * cosf(6.2832f * part), height - 0.85f, 1.6f * sinf(6.2832f * part), 5 * part,
             0.5f, height, 1, colour);
  }
  glFinish();
  check_gl("drawing the scene");
}

void read_picture(uint8_t* pixels) {
  const int stride = PICTURE_SIZE * 3;
  uint8_t row[PICTURE_SIZE * 3];
  glPixelStorei(GL_PACK_ALIGNMENT, 1);
  glReadPixels(0, 0, PICTURE_SIZE, PICTURE_SIZE, GL_RGB, GL_UNSIGNED_BYTE, pixels);
  check_gl("reading the picture");
  /* OpenGL's first row is the lowest. */
  for (int y = 0; y < PICTURE_SIZE / 2; ++y) {
    uint8_t *upper = pixels + y * stride, *lower = pixels + (PICTURE_SIZE - 1 - y) * stride;
    memcpy(row, upper, sizeof row);
    memcpy(upper, lower, sizeof row);
    memcpy(lower, row, sizeof row);
  }
}
